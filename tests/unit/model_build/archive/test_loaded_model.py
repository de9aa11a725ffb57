"""Loading a model with the code in its archive."""

from pathlib import Path

import pytest

from model_build.archive.loaded_model import LoadedModel, UnreadableImageError, open_model
from model_build.archive.package import package_model
from model_build.data.extract import ExtractionError
from model_build.errors import ModelBuildError, UsageError
from tests.support.tiny_model import write_photo

HANDLERS = (
    "class BadRequest(ValueError): pass\n"
    "def model_fn(model_dir): return None\n"
    "def input_fn(body, content_type): return body\n"
    "def output_fn(prediction, accept): return str(prediction)\n"
)


def with_code(model: Path, **files: str) -> Path:
    (model / "code").mkdir()
    for name, text in files.items():
        (model / "code" / f"{name}.py").write_text(text)
    return model


def test_a_folder_and_its_archive_give_the_same_probabilities(tmp_path: Path, model: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", "blue").read_bytes()
    with open_model(model) as folder, open_model(package_model(model, tmp_path / "m.tar.gz")) as archive:
        assert folder.labels == archive.labels == ("red", "blue")
        assert folder.classify(photo).tolist() == archive.classify(photo).tolist()
        assert folder.classify(photo)[1] > 0.9


def test_trusted_code_in_the_archive_runs(tmp_path: Path, model: Path) -> None:
    code = HANDLERS + "from helper import ANSWER\ndef predict_fn(data, model): return ANSWER\n"
    with_code(model, inference=code, helper="ANSWER = [0.25, 0.75]\n")
    with open_model(package_model(model, tmp_path / "model.tar.gz"), trust_code=True) as loaded:
        assert loaded.classify(b"anything").tolist() == [0.25, 0.75]


def test_bytes_that_are_not_an_image(model: Path) -> None:
    with open_model(model) as loaded, pytest.raises(UnreadableImageError, match="not a readable image"):
        loaded.classify(b"text")


@pytest.mark.parametrize("answer", ["[0.9, 0.9]", "[1.0]", "[0.5, 0.3, 0.2]", "[]"])
def test_an_answer_that_breaks_the_contract(model: Path, answer: str) -> None:
    with_code(model, inference=HANDLERS + f"def predict_fn(data, model): return {answer}\n")
    trusted = open_model(model, trust_code=True)
    with trusted as loaded, pytest.raises(ModelBuildError, match="one probability per label"):
        loaded.classify(b"anything")


def test_a_path_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: no such model"), open_model(tmp_path / "nowhere"):
        pass
    (tmp_path / "text.tar.gz").write_text("no archive")
    with pytest.raises(ExtractionError, match=r"text\.tar\.gz"), open_model(tmp_path / "text.tar.gz"):
        pass


def test_code_that_cannot_be_imported(model: Path) -> None:
    with_code(model, inference="import nothing_of_this_name\n")
    with pytest.raises(ModelBuildError, match=r"my model: inference\.py cannot be imported: ModuleNotFound"):
        LoadedModel(model, "my model", trust_code=True)
