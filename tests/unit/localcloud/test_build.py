"""When the functions are built again."""

from pathlib import Path

from localcloud.build import build_digest
from localcloud.environment import ROOT


def test_a_changed_function_changes_the_digest(tmp_path: Path) -> None:
    for name in ("template.yaml", "samconfig.toml", "localcloud/build.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    function = tmp_path / "functions" / "f" / "app.py"
    function.parent.mkdir(parents=True)
    (tmp_path / "statemachine").mkdir()
    function.write_text("one")
    before = build_digest(tmp_path)
    assert build_digest(tmp_path) == before

    function.write_text("two")
    changed = build_digest(tmp_path)
    assert changed != before
    function.rename(function.with_name("other.py"))
    assert build_digest(tmp_path) != changed
