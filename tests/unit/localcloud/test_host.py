"""What `sam build` is told about this machine."""

import sys

import pytest

from localcloud.host import build_target


def test_linux_runs_what_lambda_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert build_target() == {
        "PYTHON_RUNTIME": f"python3.{sys.version_info.minor}",
        "ARCHITECTURE": "arm64",
    }


def test_another_system_needs_wheels_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert build_target()["WHEELS"] == "host"
