"""`localcloud fault`: setting, listing, clearing, and what is refused."""

import json
from pathlib import Path

import pytest

from localcloud.__main__ import main
from localcloud.faults import PLACES
from localcloud.state import StateFolder


def test_that_no_fault_is_on_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "list", "--state", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "no fault is on\n")


def test_faults_are_set_listed_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(tmp_path)]
    assert main(["fault", "set", "crash", "--operation", "ClassifyImage", "--times", "1", *state]) == 0
    assert main(["fault", "set", "throttled", "--service", "sqs", "--rate", "0.5", *state]) == 0
    capsys.readouterr()

    assert main(["fault", "list", "--json", *state]) == 0
    crash, throttled = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = {"service": "lambda", "operation": "ClassifyImage", "times": 1, "hits": 0}
    assert {name: crash[name] for name in wanted} == wanted
    assert (throttled["service"], throttled["rate"]) == ("sqs", 0.5)
    assert main(["fault", "list", *state]) == 0
    assert "throttled of sqs, 50% of the calls: 0 hits" in capsys.readouterr().out

    assert main(["fault", "clear", *state]) == 0
    assert StateFolder(tmp_path).faults.load() == []


def test_all_faults_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fault", "list", "--known", "--state", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == sum(len(place.faults) for place in PLACES.values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["flood"], "there is no fault 'flood'"),
        (["throttled"], "of which --service? sagemaker, lambda, dynamodb, sqs, events, rule"),
        (["slow-down", "--service", "sqs"], "there is no fault 'slow-down' of sqs"),
        (["slow-down", "--operation", "PutObject"], "s3 has no --operation PutObject; it has GetObject"),
        (["crash", "--rate", "2"], "2"),
    ],
)
def test_what_is_refused(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fault", "set", *arguments, "--state", str(tmp_path)]) == 2
    assert says in capsys.readouterr().err
    assert StateFolder(tmp_path).faults.load() == []
