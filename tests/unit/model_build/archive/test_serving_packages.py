"""Packages for another machine: what pip is asked for, what is kept, and what a failure says."""

import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from model_build.archive.serving_packages import SERVING_LOCK, Target, packages_for
from model_build.errors import ModelBuildError

FILES = (
    "numpy/__init__.py",
    "numpy/tests/test_numpy.py",
    "numpy/core/tests/data/a.bin",
    "numpy-2.dist-info/METADATA",
    "numpy-2.dist-info/RECORD",
    "numpy-2.dist-info/INSTALLER",
    "numpy-2.dist-info/licenses/LICENSE",
    "bin/f2py",
)


class Pip:
    """Stands in for the program: writes files where it is told to."""

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        """Write the files, or fail."""
        self.commands.append(command)
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", self.error)
        for name in FILES:
            path = Path(command[command.index("--target") + 1]) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x", encoding="utf-8")
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    made = Pip()
    monkeypatch.setattr("subprocess.run", made)
    return made


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_pip_checks_hashes_and_takes_wheels_of_the_target(pip: Pip, tmp_path: Path) -> None:
    packages_for(Target("3.13", "arm64"), cache=tmp_path)

    (command,) = pip.commands
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"} <= set(command)
    assert command[command.index("--python-version") + 1] == "3.13"
    platforms = {value for option, value in itertools.pairwise(command) if option == "--platform"}
    assert "manylinux_2_28_aarch64" in platforms
    assert all(platform.endswith("_aarch64") for platform in platforms)
    assert command[command.index("--requirement") + 1] == str(SERVING_LOCK)


def test_tests_and_notes_of_the_installation_are_not_kept(pip: Pip, tmp_path: Path) -> None:
    folder = packages_for(Target("3.13"), cache=tmp_path)

    assert len(pip.commands) == 1
    assert files(folder) == {
        "numpy/__init__.py",
        "numpy-2.dist-info/METADATA",
        "numpy-2.dist-info/licenses/LICENSE",
    }


def test_packages_are_downloaded_once_for_each_lock_and_target(pip: Pip, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==2", encoding="utf-8")
    first = packages_for(Target("3.13"), lock, tmp_path)
    assert packages_for(Target("3.13"), lock, tmp_path) == first
    assert len(pip.commands) == 1

    others = {packages_for(target, lock, tmp_path) for target in (Target("3.12"), Target("3.13", "arm64"))}
    lock.write_text("numpy==3", encoding="utf-8")
    others.add(packages_for(Target("3.13"), lock, tmp_path))

    assert len(others | {first}) == 4
    assert len(pip.commands) == 4


def test_a_failed_download_leaves_nothing_and_says_what_to_do(pip: Pip, tmp_path: Path) -> None:
    pip.error = "WARNING: retrying\nERROR: No matching distribution found for numpy==2.4.6\n"

    with pytest.raises(ModelBuildError, match=r"Python 3\.13 .*No matching distribution.*--image own"):
        packages_for(Target("3.13"), cache=tmp_path)

    assert list(tmp_path.iterdir()) == []
