"""`localcloud logs` with the files of a run that has ended."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from localcloud.__main__ import main
from localcloud.commands.logs import _group_reader
from localcloud.state import StateFolder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = StateFolder(tmp_path / "state")
    files = {"logs/ministack.log": "one\ntwo\nthree\n", "sagemaker/logs/endpoint-e-1.log": "loaded\n"}
    for path, text in files.items():
        (folder.path / path).parent.mkdir(parents=True)
        (folder.path / path).write_text(text)
    return folder.path


def test_the_end_of_each_log_is_shown_and_marked_as_old(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "--lines", "2", "--state", str(state)]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        f"==> ministack ({state}/logs/ministack.log)",
        "    two",
        "    three",
        f"==> endpoint-e-1 ({state}/sagemaker/logs/endpoint-e-1.log)",
        "    loaded",
    ]
    assert captured.err == "nothing runs: these are the logs of the last run\n"


def test_a_log_is_found_by_the_beginning_of_its_name(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "endpoint", "--state", str(state)]) == 0
    assert "ministack" not in capsys.readouterr().out


def test_an_unknown_log_is_refused_with_the_known_ones(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", "sagemacher", "--state", str(state)]) == 2
    assert "no log 'sagemacher'; there are: ministack, endpoint-e-1" in capsys.readouterr().err


def test_without_logs_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"there are no logs in the state folder {tmp_path}\n"


def test_of_a_functions_log_the_newest_lines_are_shown() -> None:
    lines = [{"timestamp": 1000 * second, "message": f"line {second}\n"} for second in range(30)]
    asked = Mock()
    asked.describe_log_streams.return_value = {"logStreams": [{"logStreamName": "a"}, {"logStreamName": "b"}]}

    def tail(*, limit: int, logStreamName: str, **_: object) -> dict[str, object]:  # noqa: N803 - boto3's
        return {"events": lines[logStreamName == "b" :: 2][-limit:]}

    asked.get_log_events.side_effect = tail
    assert [line[9:] for line in _group_reader(asked, "g")(3)] == ["line 27", "line 28", "line 29"]
