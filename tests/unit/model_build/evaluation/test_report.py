"""Evaluating a model, and what an evaluation writes."""

from pathlib import Path

import pytest

from model_build.archive.loaded_model import LoadedModel
from model_build.errors import ModelBuildError
from model_build.evaluation.report import evaluate, write
from tests.support.tiny_model import cifar100_files, write_archive, write_model, write_photo


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return LoadedModel(write_model(tmp_path / "model", ["red", "blue"], ["green"]), "model")


def test_of_photos_every_error_is_listed_of_archives_ten(model: LoadedModel, tmp_path: Path) -> None:
    for number in range(12):
        write_photo(tmp_path / "photos" / "red" / f"{number}.png", "blue")
    files = cifar100_files(["red", "blue"], 1, 12)
    member = files["cifar-100-python/test"]
    assert isinstance(member, dict)
    member[b"fine_labels"] = [1 - label for label in member[b"fine_labels"]]
    report = evaluate(model, [write_archive(tmp_path / "wrong.tar.gz", files)], [tmp_path / "photos"]).report
    assert len(report.archives.mistakes) == 10
    assert report.photos is not None
    assert len(report.photos.mistakes) == 12


def test_a_folder_that_cannot_be_written(tmp_path: Path, model: LoadedModel) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue", "white"], 1, 2))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelBuildError, match="file cannot be written: "):
        write(evaluate(model, [data]), tmp_path / "file")
