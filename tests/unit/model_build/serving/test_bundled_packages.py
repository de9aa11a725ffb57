"""Packages in the archive come first on the import path, if they are for this Python."""

import platform
import sys
from pathlib import Path

import pytest

from model_build.archive.serving_packages import Target
from model_build.serving.bundled_packages import use_bundled_packages

HERE = f"cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"


@pytest.mark.parametrize(
    ("folder", "needed", "path"),
    [
        (HERE, True, [f"packages/{HERE}", "before"]),
        ("", True, ["before"]),
        ("cp399-x86_64", False, ["before"]),
    ],
    ids=["for this Python", "none", "for another, and none are needed"],
)
def test_packages_come_first_if_they_are_for_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, needed: bool, path: list[str]
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "before")])
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None if needed else object())
    if folder:
        (tmp_path / "packages" / folder).mkdir(parents=True)
    use_bundled_packages(tmp_path)
    assert sys.path == [str(tmp_path / name) for name in path]


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
