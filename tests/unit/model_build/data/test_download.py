"""Where archives are looked for; the download itself is an integration test."""

from pathlib import Path

import pytest

from model_build.data import download
from model_build.errors import ArchiveError


def test_find_archive_looks_in_the_named_folder_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, projects = tmp_path / "mine", tmp_path / "project"
    for folder in (mine, projects / "data"):
        folder.mkdir(parents=True)
        (folder / "some.tar.gz").touch()
    monkeypatch.setattr(download, "ROOT", projects)
    monkeypatch.delenv("SCONES_DATA", raising=False)
    assert download.find_archive("some.tar.gz") == projects / "data" / "some.tar.gz"
    monkeypatch.setenv("SCONES_DATA", str(mine))
    assert download.find_archive("some.tar.gz") == mine / "some.tar.gz"
    with pytest.raises(ArchiveError, match=r"other\.tar\.gz was not found in .*mine.*project.*SCONES_DATA"):
        download.find_archive("other.tar.gz")


def test_training_uses_cifar10_where_it_is_present(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "data_folders", lambda: [tmp_path])
    first, second = tmp_path / download.CIFAR_100, tmp_path / download.CIFAR_10
    first.touch()
    assert download.training_archives() == [first]
    second.touch()
    assert download.training_archives() == [first, second]
