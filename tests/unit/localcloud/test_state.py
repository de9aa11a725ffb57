"""The state folder: what counts as running, and what is kept between two starts."""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from localcloud import desk
from localcloud.environment import Addresses
from localcloud.state import UNSAVED, BusyError, KeptState, Running, StateFolder

URL = "http://127.0.0.1:4566"
RUNNING = Running("127.0.0.1", URL, "http://127.0.0.1:4567", "key", "instance", {"supervisor": 1})


def test_nothing_runs_in_a_new_folder(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "new")
    assert (folder.supervisor(), folder.load()) == (None, None)
    assert not (tmp_path / "new").exists(), "looking must not create the folder"


def test_others_see_nothing_of_it_and_clear_removes_what_says_that_something_runs(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state")
    (tmp_path / "state").mkdir(0o755)
    folder.save(RUNNING)
    assert json.loads((folder.path / "state.json").read_text())["aws_url"] == RUNNING.aws_url
    assert folder.access_key() == folder.access_key() != StateFolder(tmp_path).access_key()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (folder.path, *folder.path.iterdir())}
    assert modes == {"state": 0o700, "state.json": 0o600, "env.sh": 0o600, "access-key": 0o600}
    for _ in range(2):
        folder.clear()
        assert [path.name for path in folder.path.iterdir()] == ["access-key"]


def test_a_state_file_counts_while_a_supervisor_runs_of_which_there_is_one(tmp_path: Path) -> None:
    """As after a crash or a reboot."""
    folder = StateFolder(tmp_path)
    lock = folder.lock_as_supervisor()
    assert lock is not None
    assert StateFolder(tmp_path).lock_as_supervisor() is None
    folder.save(RUNNING)
    assert folder.load() == RUNNING
    assert folder.supervisor() == os.getpid()
    lock.close()
    assert (tmp_path / "state.json").exists()
    assert folder.load() is None
    assert folder.supervisor() is None


def test_two_commands_do_not_start_the_same_local_cloud(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    with folder.reserved(), pytest.raises(BusyError, match=f"process {os.getpid()}.*{tmp_path}: wait"):
        folder.reserved().__enter__()
    with folder.reserved():
        pass


def test_old_logs_are_kept_apart_from_new_ones(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    for text in ("first", "second"):
        folder.logs.mkdir()
        (folder.logs / "ministack.log").write_text(text)
        folder.put_old_logs_aside()
    assert not folder.logs.exists()
    assert (tmp_path / "logs.previous" / "ministack.log").read_text() == "second"


def test_a_state_folder_keeps_the_desks_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookmarks and open tabs have it."""
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


def at(port: int) -> Addresses:
    return Addresses("127.0.0.1", f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", "key")


def test_urls_in_the_state_follow_the_ports_which_are_remembered(tmp_path: Path) -> None:
    kept = KeptState(tmp_path / "data")
    assert kept.last_ports() == []
    kept.move_to(at(4566))
    assert KeptState(tmp_path / "data").last_ports() == [4566, 4567]
    queues, photo = (tmp_path / "data" / name for name in ("state/sqs.json", "s3/photo.json"))
    for file in (queues, photo):
        file.parent.mkdir()
        file.write_text('{"url": "http://127.0.0.1:4566/000000000000/review"}')

    kept.move_to(at(5566))

    assert queues.read_text() == '{"url": "http://127.0.0.1:5566/000000000000/review"}'
    assert photo.read_text() == '{"url": "http://127.0.0.1:4566/000000000000/review"}', "it is the user's"
    assert kept.last_ports() == [5566, 5567]
    (tmp_path / "data" / "addresses.json").write_text("{")
    assert kept.last_ports() == []


@pytest.mark.parametrize(("services", "says"), [("", "was killed"), ("sqs, sns", "the state of sqs, sns")])
def test_what_was_saved_before_an_unclean_end_stays(tmp_path: Path, services: str, says: str) -> None:
    kept = KeptState(tmp_path)
    assert (kept.recover(), kept.killed()) == ("", None)
    state = tmp_path / "state" / "sqs.json"
    state.parent.mkdir()
    state.write_text("{}")
    (tmp_path / UNSAVED).write_text(services)
    assert says in kept.recover()
    assert "photos and records are kept" in kept.recover()
    assert kept.killed() is not None
    assert state.exists()


def test_what_was_killed_before_anything_was_saved_starts_anew(tmp_path: Path) -> None:
    bucket = tmp_path / "data" / "s3" / "scones-models"
    bucket.mkdir(parents=True)
    (tmp_path / "data" / UNSAVED).touch()
    assert "starts anew" in KeptState(tmp_path / "data").recover()
    assert not bucket.exists()
