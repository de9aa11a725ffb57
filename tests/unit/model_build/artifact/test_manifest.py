"""Reading, checking and writing manifest.json."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_build.artifact.manifest import ExpertsView, Manifest, ManifestError, View
from model_build.artifact.package import DEFAULT_MODEL
from tests.support.tiny_model import write_model

Document = dict[str, Any]
EXPERTS = ("views", 1, "experts")


@pytest.fixture
def document() -> Document:
    loaded = json.loads((DEFAULT_MODEL / "manifest.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def test_the_shipped_manifest_keeps_its_bytes(tmp_path: Path) -> None:
    for network in DEFAULT_MODEL.glob("*.onnx"):
        shutil.copy(network, tmp_path)
    written = Manifest.read(DEFAULT_MODEL).write(tmp_path)
    assert written.read_bytes() == (DEFAULT_MODEL / "manifest.json").read_bytes()


def test_fields_are_typed(document: Document) -> None:
    manifest = Manifest.from_json(document)
    assert manifest.labels == ("bicycle", "motorcycle")
    assert manifest.trained_classes[:3] == ("bicycle", "motorcycle", "airplane")
    assert manifest.input_size == (128, 128)
    thumbnails, photos = manifest.views
    assert isinstance(thumbnails, View)
    assert (thumbnails.up_to, thumbnails.mirror, thumbnails.softness) == (64, True, 1.0)
    assert isinstance(photos, ExpertsView)
    assert photos.up_to is None
    assert photos.experts.classifier.outputs["bicycle"] == (444, 671)
    assert [one.file for one in manifest.experts] == ["classifier.onnx", "detector.onnx"]
    assert manifest.training_data is not None
    assert manifest.training_data.images["bicycle"] == 500


def test_what_need_not_be_there(tmp_path: Path) -> None:
    folder = write_model(tmp_path, ["red", "blue"], ["green"])
    document = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for key in ("outputs", "input_size", "metrics"):
        del document[key]
    manifest = Manifest.from_json(document)
    assert manifest.trained_classes == ("red", "blue")
    assert manifest.normalisation.mean == (0.0, 0.0, 0.0)
    assert manifest.to_json() == document


def test_unknown_keys_are_kept(document: Document) -> None:
    document["added"] = {"later": [1]}
    document["views"][0]["crop"] = 3
    assert Manifest.from_json(document).to_json() == document


def changed(*path: str | int, value: Any) -> Callable[[Document], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


def removed(*path: str | int) -> Callable[[Document], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (removed("format"), "format is None, this version reads 1 and 2"),
        (changed("format", value=3), "format is 3"),
        (removed("labels"), "labels is missing"),
        (changed("labels", value=[]), "labels must be different names"),
        (changed("labels", value=["a", "a"]), r'labels must be different names, not \["a", "a"\]'),
        (changed("labels", value=[1, 2]), "labels must be different names"),
        (changed("labels", value="bicycle"), 'labels must be a list, not "bicycle"'),
        (changed("outputs", value=["motorcycle", "bicycle"]), "outputs must be names, the labels first"),
        (changed("outputs", value=["bicycle", "motorcycle", ""]), "outputs must be names"),
        (changed("input_size", value=[128]), "input_size must be height and width"),
        (changed("input_size", value=[128, 0]), "input_size must be height and width"),
        (removed("temperature"), "temperature is missing"),
        (changed("temperature", value=0), "temperature must be above 0, not 0"),
        (changed("temperature", value="1"), "temperature must be above 0"),
        (changed("temperature", value=float("inf")), "temperature must be above 0"),
        (changed("default_threshold", value=1.01), "default_threshold must be a number from 0 to 1"),
        (changed("default_threshold", value=-0.01), "default_threshold must be a number from 0 to 1"),
        (changed("default_threshold", value=True), "default_threshold must be a number from 0 to 1"),
        (changed("normalisation", value=0.5), "normalisation must be an object, not 0.5"),
        (removed("normalisation", "std"), "normalisation.std is missing"),
        (changed("normalisation", "std", value=0.0), "normalisation.std must be above 0"),
        (
            changed("normalisation", "mean", value=[0.5, 0.5]),
            "normalisation.mean must be one or three",
        ),
        (changed("views", value=[]), "views must be one view or more"),
        (changed("views", 1, value=7), r"views\[1\] must be an object"),
        (removed("views", 0, "side"), r"views\[0\].side is missing"),
        (changed(*EXPERTS, value=1), r"views\[1\].experts must be an object"),
        (removed(*EXPERTS, "classifier"), r"views\[1\].experts.classifier is missing"),
        (changed(*EXPERTS, "weight", value=0), r"views\[1\].experts.weight must be above 0"),
        (changed(*EXPERTS, "floor", value=1), r"views\[1\].experts.floor must be above 0 and below 1"),
        (
            changed(*EXPERTS, "detector", "file", value="../detector.onnx"),
            r"views\[1\].experts.detector.file must be a file name",
        ),
        (
            changed(*EXPERTS, "detector", "normalisation", "std", value=0),
            r"views\[1\].experts.detector.normalisation.std must be above 0",
        ),
        (
            changed(*EXPERTS, "classifier", "outputs", "bicycle", value=[]),
            r"views\[1\].experts.classifier.outputs must be one output or more of each label",
        ),
        (removed(*EXPERTS, "classifier", "outputs", "bicycle"), "outputs must be of all labels"),
        (removed("views", 0, "mirror"), r"views\[0\].mirror is missing"),
        (changed("views", 0, "mirror", value=1), r"views\[0\].mirror must be true or false"),
        (changed("views", 0, "side", value=1.5), r"views\[0\].side must be a whole number above 0"),
        (changed("views", 0, "up_to", value=0), r"views\[0\].up_to must be a whole number above 0"),
        (changed("views", 0, "margin", value=-0.1), r"views\[0\].margin must be 0 or more"),
        (changed("views", 0, "softness", value=0), r"views\[0\].softness must be above 0"),
        (changed("views", 0, "prior_weight", value=-1), r"views\[0\].prior_weight must be 0 or more"),
        (changed("training_data", "images", value=3), "training_data.images must be an object"),
        (changed("training_data", "photos", value="ab"), "training_data.photos must be a list of digests"),
        (changed("training_data", "photos", value=[1]), "training_data.photos must be a list of digests"),
        (changed("metrics", value=[]), "metrics must be an object"),
        (changed("torch", value=2.13), "torch must be a version"),
    ],
)
def test_an_invalid_value_is_named(
    tmp_path: Path, document: Document, change: Callable[[Document], None], message: str
) -> None:
    change(document)
    (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ManifestError, match=rf"^my model: manifest\.json is invalid: {message}"):
        Manifest.read(tmp_path, "my model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be a JSON object"),
    ],
)
def test_a_file_that_is_not_a_json_object(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(ManifestError, match=message):
        Manifest.read(tmp_path)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"has no manifest\.json: give a folder"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read"):
        Manifest.read(tmp_path)
