"""What `sam build` is told about this machine."""

import sys

import pytest

from localcloud.host import ROOT, build_target


def test_the_functions_are_built_with_this_machines_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert build_target() == {
        "PYTHON_RUNTIME": f"python3.{sys.version_info.minor}",
        "ARCHITECTURE": "arm64",
        "WHEELS": "host",
        "SCONES_WHEELS": str(ROOT / "build" / "wheels"),
    }
