"""`scones` in a second terminal: the running local cloud of this checkout, unless AWS is configured."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from commandline import scones
from localcloud.state import Running, StateFolder

RUNNING = Running("127.0.0.1", "http://127.0.0.1:4566", "http://127.0.0.1:4567", "key", instance="one")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the state folder of a local cloud that has ended, in a shell without AWS configuration."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # and forget what `scones` sets
    os.environ |= {"HOME": str(tmp_path / "home"), "SCONES_STATE": str(tmp_path / "state"), "AWS_PAGER": ""}
    monkeypatch.setattr(scones, "run", lambda *_: 0)
    StateFolder(tmp_path / "state").save(RUNNING)
    return tmp_path / "state"


@pytest.fixture
def running(state: Path) -> Iterator[Path]:
    lock = StateFolder(state).lock_as_supervisor()
    assert lock is not None
    with lock:
        yield state


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("command", ["results", "send a.jpg", "model deploy --dry-run"])
def test_the_running_local_cloud_is_found(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    scones.main(command.split())
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert os.environ["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] == "http://127.0.0.1:4567"
    assert capsys.readouterr().err.splitlines() == [
        "scones: uses this checkout's local cloud, http://127.0.0.1:4566, as no AWS account is configured"
    ]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "command",
    [
        *("results --profile mine", "results --region=eu-west-1", "results --help", "--version"),
        *("local status", "cost", "model predict a.jpg", "model", ""),
    ],
)
def test_a_command_that_names_an_account_or_calls_no_aws_is_left_alone(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scones.main(command.split())
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "name", ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_ENDPOINT_URL_S3", "config", "credentials"]
)
def test_a_configured_account_wins(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("AWS"):
        os.environ[name] = "mine"
    else:
        (tmp_path / "home" / ".aws").mkdir(parents=True)
        (tmp_path / "home" / ".aws" / name).touch()
    scones.main(["results"])
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("state")
def test_a_local_cloud_that_is_down_is_not_used(capsys: pytest.CaptureFixture[str]) -> None:
    scones.main(["results"])
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert capsys.readouterr().err == ""


def test_commands_of_operations_stand_beside_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert scones.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in ("send", "results", "doctor", "model", "local"))
