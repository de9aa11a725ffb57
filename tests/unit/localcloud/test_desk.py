"""The review desk's address, which bookmarks and open tabs have."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from localcloud import desk


def test_a_state_folder_keeps_the_desks_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[int] = set()

    def free_port(_bind: str, *preferred: int) -> int:
        return next(port for port in (*preferred, 50_000) if port not in taken)

    monkeypatch.setattr(desk, "free_port", free_port)
    taken.add(4580)
    first = desk.kept_address(tmp_path)
    taken.remove(4580)
    assert desk.kept_address(tmp_path) == first == f"http://127.0.0.1:50000/?{urlsplit(first).query}"
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600, "it has the token"

    taken.add(50_000)
    assert desk.kept_address(tmp_path) == f"http://127.0.0.1:4580/?{urlsplit(first).query}"

    (tmp_path / "other").mkdir()
    assert urlsplit(desk.kept_address(tmp_path / "other")).query != urlsplit(first).query
