"""Packages in the archive come first on the import path, if they are for this Python."""

import platform
import sys
from pathlib import Path

import pytest

from model_build.archive.serving_packages import Target
from model_build.serving.bundled_packages import use_bundled_packages

HERE = f"cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"


@pytest.fixture
def import_path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    path = ["/before"]
    monkeypatch.setattr(sys, "path", path)
    return path


def test_packages_for_this_python_come_first(tmp_path: Path, import_path: list[str]) -> None:
    (tmp_path / "packages" / HERE).mkdir(parents=True)

    use_bundled_packages(tmp_path)

    assert import_path == [str(tmp_path / "packages" / HERE), "/before"]


def test_no_packages_or_those_for_another_python_change_nothing_where_none_are_needed(
    tmp_path: Path, import_path: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_bundled_packages(tmp_path)
    assert import_path == ["/before"]
    (tmp_path / "packages" / "cp399-x86_64").mkdir(parents=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())

    use_bundled_packages(tmp_path)

    assert import_path == ["/before"]


def test_packages_for_another_python_are_an_error_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "packages" / "cp399-x86_64").mkdir(parents=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ImportError, match=f"cp399-x86_64.*{HERE}"):
        use_bundled_packages(tmp_path)


def test_the_name_is_the_one_that_deploy_gives_the_folder() -> None:
    architecture = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")

    target = Target(f"{sys.version_info.major}.{sys.version_info.minor}", architecture)

    assert target.folder.split("-")[0] == HERE.split("-", maxsplit=1)[0]
    if sys.platform == "linux":
        assert target.folder == HERE
