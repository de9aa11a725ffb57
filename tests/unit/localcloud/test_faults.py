"""Faults: which calls are hit, that a run can be repeated, and the command `localcloud fault`."""

import json
from pathlib import Path

import pytest

from localcloud.__main__ import main
from localcloud.faults import PLACES, VARIABLE, Fault, FaultFile, of_this_process
from localcloud.state import StateFolder


@pytest.fixture
def file(tmp_path: Path) -> FaultFile:
    return FaultFile(tmp_path / "state" / "faults.json")


def hits(file: FaultFile, count: int, operation: str = "GetObject", about: str = "") -> list[bool]:
    return [file.pick("s3", operation, about) is not None for _ in range(count)]


def test_a_fault_hits_its_calls_only_as_often_as_it_may(file: FaultFile) -> None:
    file.save([Fault("1", "error", "s3", "GetObject", key="incoming/a")])
    assert all(hits(file, 3, about="bucket/incoming/a.jpg"))
    assert not any(hits(file, 3, about="bucket/incoming/b.jpg"))
    assert not any(hits(file, 3, operation="PutObject", about="bucket/incoming/a.jpg"))
    assert file.pick("sqs", "GetObject", "incoming/a") is None
    assert file.hits() == {"1": 3}
    file.save([Fault("2", "slow", "s3")])  # at any operation
    assert all(hits(file, 2, operation="PutObject"))
    file.save([Fault("3", "error", "s3", times=2)])
    assert hits(file, 4) == [True, True, False, False]


def test_equal_seeds_hit_equal_calls_at_the_rate(file: FaultFile, tmp_path: Path) -> None:
    file.save([Fault("1", "error", "s3", rate=0.2, seed=7)])
    other = FaultFile(tmp_path / "other.json")
    other.save([Fault("another", "error", "s3", rate=0.2, seed=7)])
    first = hits(file, 2000)
    assert first == hits(other, 2000)
    assert 0.17 < sum(first) / 2000 < 0.23
    other.save([Fault("third", "error", "s3", rate=0.2, seed=8)])
    assert first != hits(other, 2000)


def test_switching_off_and_on_is_seen_by_a_running_service(file: FaultFile) -> None:
    service = FaultFile(file.path)
    assert hits(service, 1) == [False]
    file.save([Fault("1", "error", "s3")])
    assert hits(service, 1) == [True]
    file.clear()
    assert hits(service, 1) == [False]
    assert file.hits() == {}


def test_a_process_that_belongs_to_no_local_cloud_has_no_faults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    FaultFile(tmp_path / "faults.json").save([Fault("1", "error", "s3")])
    monkeypatch.delenv(VARIABLE, raising=False)
    assert hits(of_this_process(), 1) == [False]
    monkeypatch.setenv(VARIABLE, str(tmp_path / "faults.json"))
    assert hits(of_this_process(), 1) == [True]


def test_faults_are_set_listed_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fault(*arguments: str) -> tuple[str, str]:
        capsys.readouterr()
        assert main(["fault", *arguments, "--state", str(tmp_path)]) == 0
        return capsys.readouterr()

    fault("set", "crash", "--operation", "ClassifyImage", "--times", "1")
    fault("set", "throttled", "--service", "sqs", "--rate", "0.5")
    crash, throttled = map(json.loads, fault("list", "--json")[0].splitlines())
    wanted = {"service": "lambda", "operation": "ClassifyImage", "times": 1, "hits": 0}
    assert {name: crash[name] for name in wanted} == wanted
    assert (throttled["service"], throttled["rate"]) == ("sqs", 0.5)
    assert "throttled of sqs, 50% of the calls: 0 hits" in fault("list")[0]
    fault("clear")
    assert StateFolder(tmp_path).faults.load() == []
    assert fault("list") == ("", "no fault is on\n")
    known, _ = fault("list", "--known")
    assert len(known.splitlines()) == sum(len(place.faults) for place in PLACES.values())


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
