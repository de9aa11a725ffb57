"""How the Makefile makes environments: by uv or pip, once for the same locks, or with a reason."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "requirements" / "make_venv.py"
LOCK = "boto3==1.0 \\\n    --hash=sha256:0\nclick==8.0 ; python_version < '3.12' \\\n    --hash=sha256:1\n"


SPEC = importlib.util.spec_from_file_location("make_venv", SCRIPT)
assert SPEC
assert SPEC.loader
make_venv: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make_venv)


class Programs:
    """Stands in for `python -m venv`, pip and uv; command lines with a text of `failing` fail."""

    def __init__(self, folder: Path) -> None:
        self.commands: list[str] = []
        self.failing: set[str] = set()
        self.venv, self.lock = folder / "venv", folder / "run.txt"
        self.lock.write_text(LOCK)

    def run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Note a command; an environment gets a Python."""
        line = " ".join(command)
        self.commands.append(line)
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()
        failed = any(text in line for text in self.failing)
        return subprocess.CompletedProcess(command, int(failed), stdout="")

    def count(self, text: str) -> int:
        """Return how many command lines contain a text."""
        return sum(text in line for line in self.commands)

    def make(self, name: str = "venv") -> None:
        """Make an environment from the lock."""
        make_venv.main(self.venv.with_name(name), [self.lock])


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(tmp_path)
    monkeypatch.setattr(sys, "executable", "user/python3")
    monkeypatch.setattr(make_venv.subprocess, "run", found.run)
    return found


def test_uv_is_installed_once_and_makes_an_environment_once_for_the_same_locks(
    programs: Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    programs.make()
    shown = capsys.readouterr().err
    assert f"making {programs.venv} from {programs.lock} (once)" in shown
    assert "is made: 0 MB" in shown
    assert "\r" not in shown, "a line that moves is for terminals"
    (synced,) = [line for line in programs.commands if "uv pip sync" in line]
    assert "--require-hashes" in synced
    programs.lock.touch()
    programs.make()
    assert programs.count("uv pip sync") == 1
    programs.lock.write_text(LOCK.replace("1.0", "1.1"))
    programs.make()
    assert programs.count("uv pip sync") == 2
    assert programs.count("-m venv") == 0, "this Python's pip installs uv"


@pytest.mark.parametrize("failing", ["uv.txt", "uv venv", "uv pip sync"])
def test_pip_installs_where_uv_cannot(
    programs: Programs, capsys: pytest.CaptureFixture[str], failing: str
) -> None:
    programs.failing = {failing}
    programs.make()
    assert "pip installs instead" in capsys.readouterr().err
    assert programs.commands[-1].startswith(f"{programs.venv}/bin/python -m pip install ")
    assert programs.commands[-1].endswith(f"--no-deps --require-hashes -r {programs.lock} --quiet")
    assert (programs.venv / ".made").exists()


def test_an_environment_that_failed_is_made_again(programs: Programs) -> None:
    programs.failing = {"run.txt"}
    with pytest.raises(SystemExit, match=r"run\.txt cannot be installed, see above"):
        programs.make()
    programs.failing.clear()
    programs.make()
    assert programs.count("uv pip sync") == 2


def test_uv_takes_the_configuration_of_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://a.invalid/simple\nextra-index-url =\n    https://b.invalid/simple\n"
        "    https://c.invalid/simple\ncert = /certificates.pem\n[install]\ntrusted-host = b.invalid\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:it's@d.invalid/simple")
    options, variables = make_venv.pip_configuration([sys.executable, "-m", "pip"])
    line = " ".join(options)
    assert "--default-index https://user:it's@d.invalid/simple" in line, "a variable counts more than a file"
    assert "--index https://b.invalid/simple --index https://c.invalid/simple" in line
    assert "--allow-insecure-host b.invalid" in line
    assert variables == {"SSL_CERT_FILE": "/certificates.pem"}


def test_a_python_without_pip_gets_one_to_install_uv(programs: Programs) -> None:
    programs.failing = {"user/python3 -m pip"}
    programs.make()
    programs.make("other")
    assert programs.count("-m venv") == 1
    assert programs.count("uv pip sync") == 2


def test_a_python_that_is_too_old_is_named(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"3\.11 or newer is needed, this is 3\.9\.2: make PYTHON="):
        programs.make()
    assert not programs.venv.exists()


def test_scones_runs_this_checkout_from_any_folder(tmp_path: Path) -> None:
    binaries = tmp_path / "it's a venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (binaries / "python").chmod(0o755)
    make_venv.write_program(binaries.parent)
    called = subprocess.run(
        [binaries / "scones", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert called.stdout.startswith("scones-vehicle-classification ")
