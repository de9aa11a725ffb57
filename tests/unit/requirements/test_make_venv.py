"""How the Makefile makes environments: once for the same locks, and with a reason when it cannot."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "requirements" / "make_venv.py"
LOCK = "boto3==1.0 \\\n    --hash=sha256:0\nclick==8.0 ; python_version < '3.12' \\\n    --hash=sha256:1\n"
OUTPUT = """Ignoring click: markers 'python_version < "3.12"' don't match your environment
Collecting boto3==1.0 (from -r requirements/run.txt (line 1))
Installing collected packages: boto3
"""


@pytest.fixture
def make_venv() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_venv", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "run.txt").write_text(LOCK)
    return tmp_path / "run.txt"


@pytest.fixture
def pip(make_venv: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Replace `python -m venv` and pip: pip prints OUTPUT, and fails if the file `fails` exists."""
    called: list[list[str]] = []

    def venv(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        python = Path(command[-1]) / "bin" / "python"
        python.parent.mkdir(parents=True)
        fails = tmp_path / "fails"
        python.write_text(f"#!/bin/sh\ncat <<'END'\n{OUTPUT}END\ntest ! -e {fails}\n")
        python.chmod(0o755)
        called.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(make_venv.subprocess, "run", venv)
    return called


def test_an_environment_is_made_once_for_the_same_locks(
    make_venv: ModuleType,
    pip: list[list[str]],
    lock: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "venv"
    make_venv.main(folder, [lock])
    told = capsys.readouterr().err
    assert f"making {folder} from {lock} (once)" in told
    assert "is made: 0 MB" in told
    assert "\r" not in told, "a line that moves is for terminals"

    lock.touch()
    make_venv.main(folder, [lock])
    assert len(pip) == 1

    lock.write_text(LOCK.replace("1.0", "1.1"))
    make_venv.main(folder, [lock])
    assert len(pip) == 2


def test_an_environment_that_failed_is_made_again(
    make_venv: ModuleType,
    pip: list[list[str]],
    lock: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "fails").touch()
    with pytest.raises(SystemExit, match=r"run\.txt cannot be installed, see above"):
        make_venv.main(tmp_path / "venv", [lock])
    assert "Collecting boto3==1.0" in capsys.readouterr().err

    (tmp_path / "fails").unlink()
    make_venv.main(tmp_path / "venv", [lock])
    assert len(pip) == 2


def test_a_python_that_is_too_old_is_told(
    make_venv: ModuleType, monkeypatch: pytest.MonkeyPatch, lock: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"3\.11 or newer is needed, this is 3\.9\.2: make PYTHON="):
        make_venv.main(tmp_path / "venv", [lock])
    assert not (tmp_path / "venv").exists()


def test_progress_counts_the_packages_of_the_lock(
    make_venv: ModuleType, pip: list[list[str]], lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(make_venv, "show", shown.append)
    make_venv.main(tmp_path / "venv", [lock])
    assert pip
    assert shown == ["   1 of 2 packages: click", "   2 of 2 packages: boto3", "installing 2 packages", ""]
