"""What is kept between two starts."""

from pathlib import Path

import pytest

from localcloud.environment import Addresses
from localcloud.state import UNSAVED, KeptState


def at(port: int) -> Addresses:
    return Addresses("127.0.0.1", f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", "key")


def test_ports_are_remembered(tmp_path: Path) -> None:
    kept = KeptState(tmp_path / "data")
    assert kept.last_ports() == []
    kept.move_to(at(4566))
    assert KeptState(tmp_path / "data").last_ports() == [4566, 4567]


def test_urls_in_the_state_follow_the_ports(tmp_path: Path) -> None:
    kept = KeptState(tmp_path)
    kept.move_to(at(4566))
    queues = tmp_path / "state" / "sqs.json"
    queues.parent.mkdir()
    queues.write_text('{"url": "http://127.0.0.1:4566/000000000000/review"}')
    photo = tmp_path / "s3" / "photo.json"
    photo.parent.mkdir()
    photo.write_text('{"url": "http://127.0.0.1:4566/"}')

    kept.move_to(at(5566))

    assert queues.read_text() == '{"url": "http://127.0.0.1:5566/000000000000/review"}'
    assert photo.read_text() == '{"url": "http://127.0.0.1:4566/"}', "an object is the user's"
    assert kept.last_ports() == [5566, 5567]


def test_a_damaged_file_of_ports_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "addresses.json").write_text("{")
    assert KeptState(tmp_path).last_ports() == []


def test_erasing_removes_everything_and_may_be_repeated(tmp_path: Path) -> None:
    kept = KeptState(tmp_path / "data")
    kept.move_to(at(4566))
    kept.erase()
    kept.erase()
    assert not (tmp_path / "data").exists()


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
