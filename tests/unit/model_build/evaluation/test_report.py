"""Evaluating a model, and what an evaluation writes."""

import json
from pathlib import Path

import pytest

from model_build.archive.loaded_model import LoadedModel
from model_build.errors import ModelBuildError
from model_build.evaluation.report import Targets, evaluate, write
from tests.support.tiny_model import cifar100_files, write_archive, write_model, write_photo

CHARTS = {"confusion.png", "reliability.png", "risk_coverage.png"}


@pytest.fixture
def model(tmp_path: Path) -> LoadedModel:
    return LoadedModel(write_model(tmp_path / "model", ["red", "blue"], ["green"]), "model")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue", "white"], 1, 12))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(12):
        write_photo(tmp_path / "photos" / "red" / f"{number}.png", "blue")
    return tmp_path / "photos"


def test_the_models_threshold_is_the_default(model: LoadedModel, data: Path) -> None:
    assert evaluate(model, [data]).report.threshold == 0.8
    assert evaluate(model, [data], threshold=0.0).report.threshold == 0.0


def test_of_photos_every_error_is_listed_of_archives_ten(
    model: LoadedModel, photos: Path, tmp_path: Path
) -> None:
    files = cifar100_files(["red", "blue"], 1, 12)
    member = files["cifar-100-python/test"]
    assert isinstance(member, dict)
    member[b"fine_labels"] = [1 - label for label in member[b"fine_labels"]]
    report = evaluate(model, [write_archive(tmp_path / "wrong.tar.gz", files)], [photos]).report
    assert len(report.archives.mistakes) == 10
    assert report.photos is not None
    assert len(report.photos.mistakes) == 12


def test_figures_and_charts_are_written(tmp_path: Path, model: LoadedModel, data: Path, photos: Path) -> None:
    evaluation = evaluate(model, [data], [photos], targets=Targets(target=0.9))
    written = write(evaluation, tmp_path / "new" / "out")
    assert {path.name for path in written} == {"evaluation.json"} | CHARTS | {
        f"photos_{name}" for name in CHARTS
    }
    assert set(written) == set((tmp_path / "new" / "out").iterdir())
    assert json.loads(written[0].read_text(encoding="utf-8")) == evaluation.report.to_json()


def test_a_folder_that_cannot_be_written(tmp_path: Path, model: LoadedModel, data: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelBuildError, match="file cannot be written: "):
        write(evaluate(model, [data]), tmp_path / "file")
