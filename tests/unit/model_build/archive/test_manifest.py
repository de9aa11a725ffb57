"""Reading, checking and writing manifest.json."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commandline.terminal import visible
from model_build.archive.manifest import Manifest, ManifestError
from model_build.archive.package import DEFAULT_MODEL
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


REMOVED = object()


def changed(*path: str | int, value: Any) -> Callable[[Document], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value
        if value is REMOVED:
            del document[path[-1]]

    return change


def removed(*path: str | int) -> Callable[[Document], None]:
    return changed(*path, value=REMOVED)


BROKEN: list[tuple[Callable[[Document], None], str]] = [
    (removed("format"), "format is null, this version reads 1, 2 and 3"),
    (changed("format", value=4), "format is 4"),
    (changed("format", value=True), "format is true"),
    (changed("format", value=[1]), "format is "),
    (removed("labels"), "labels is missing"),
    (changed("labels", value=[]), "labels "),
    (changed("labels", value=["a", "a"]), r"labels must be different names, not \["),
    (changed("labels", value=[1, 2]), r"labels\[0\] must be a valid string, not 1"),
    (changed("labels", value="bicycle"), "labels must be a valid (array|tuple)"),
    (changed("labels", value=["a", "b\n"]), r"labels\[1\] must be a name without control characters"),
    (changed("labels", value=["a", "\x1b[31m"]), r"labels\[1\] must be a name without control characters"),
    (changed("labels", value=["a", "\ud800"]), "Invalid JSON"),
    (changed("labels", value=["a", "b" * 10_000]), r"labels\[1\]"),
    (changed("outputs", value=["motorcycle", "bicycle"]), "outputs must begin with the labels"),
    (changed("outputs", value=["bicycle", "motorcycle", ""]), r"outputs\[2\] must be a name"),
    (changed("input_size", value=[128]), r"input_size\[1\] is missing"),
    (changed("input_size", value=[128, 0]), r"input_size\[1\] must be greater than 0"),
    (removed("temperature"), "temperature is missing"),
    (changed("temperature", value=0), "temperature must be greater than 0, not 0"),
    (changed("temperature", value="1"), "temperature must be a valid number"),
    (changed("temperature", value=float("inf")), "Out of range"),
    (changed("temperature", value=float("nan")), "Out of range"),
    (changed("metrics", value={"accuracy": float("nan")}), "Out of range"),
    (changed("default_threshold", value=1.01), "default_threshold must be less than or equal to 1"),
    (changed("default_threshold", value=True), "default_threshold must be a valid number"),
    (changed("normalisation", value=0.5), "normalisation must be an object"),
    (removed("normalisation", "std"), "normalisation.std is missing"),
    (changed("normalisation", "std", value=0.0), "normalisation.std must be greater than 0"),
    (changed("normalisation", "mean", value=[0.5, 0.5]), "normalisation.mean must be one number or three"),
    (changed("views", value=[]), "views "),
    (changed("views", 1, value=7), r"views\[1\] must be an object"),
    (removed("views", 0, "side"), r"views\[0\].side is missing"),
    (removed("views", 0, "mirror"), r"views\[0\].mirror is missing"),
    (changed("views", 0, "mirror", value=1), r"views\[0\].mirror must be a valid boolean"),
    (changed("views", 0, "side", value=1.5), r"views\[0\].side must be a valid integer"),
    (changed("views", 0, "side", value=10**9), r"views\[0\].side must be less than or equal to 4096"),
    (changed("views", 0, "side", value=10**4000), r"views\[0\].side must be less than or equal to 4096"),
    (changed("views", 0, "up_to", value=0), r"views\[0\].up_to must be greater than 0"),
    (changed("views", 0, "margin", value=-0.1), r"views\[0\].margin must be greater than or equal to 0"),
    (changed("views", 0, "softness", value=0), r"views\[0\].softness must be greater than 0"),
    (changed(*EXPERTS, value=1), r"views\[1\].experts must be an object"),
    (removed(*EXPERTS, "classifier"), r"views\[1\].experts.classifier is missing"),
    (changed(*EXPERTS, "weight", value=0), r"views\[1\].experts.weight must be greater than 0"),
    (changed(*EXPERTS, "floor", value=1), r"views\[1\].experts.floor must be less than 1"),
    (
        changed(*EXPERTS, "detector", "file", value="../detector.onnx"),
        r"views\[1\].experts.detector.file must be a file name, not \.\./detector",
    ),
    (
        changed(*EXPERTS, "classifier", "outputs", "bicycle", value=[]),
        r"views\[1\].experts.classifier.outputs.bicycle ",
    ),
    (removed(*EXPERTS, "classifier", "outputs", "bicycle"), "outputs of a pretrained network must be of all"),
    (changed("training_data", "images", value=3), "training_data.images must be an object"),
    (changed("training_data", "photos", value="ab"), "training_data.photos must be a valid"),
    (changed("metrics", value=[]), "metrics must be an object"),
    (changed("torch", value=2.13), "torch must be a valid string"),
    (changed("files", value={"../a.onnx": "0" * 64}), "files"),
    (changed("files", "model.onnx", value=7), "files.model.onnx must be a valid string"),
    (changed("files", "model.onnx", value="0\n"), "files.model.onnx"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN)
def test_an_invalid_value_is_named_in_one_line(
    tmp_path: Path, document: Document, change: Callable[[Document], None], message: str
) -> None:
    change(document)
    (tmp_path / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ManifestError, match=rf"^my model: manifest\.json is invalid: .*{message}") as caught:
        Manifest.read(tmp_path, "my model")
    assert len(str(caught.value)) < 500
    assert str(caught.value) == visible(str(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"format":' * 100_000,
        b'{"format": 1, "extra": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"format": ' + b"9" * 5000 + b"}",
        b'{"format": 1, "temperature": 1e999}',
        '{"format": 1}'.encode("utf-16-be"),
        b"\0" * 100,
    ],
)
def test_a_file_that_is_no_manifest_is_refused_in_one_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(text)
    with pytest.raises(ManifestError, match=r"manifest\.json is invalid: ") as caught:
        Manifest.read(tmp_path)
    assert len(str(caught.value)) < 500
    assert str(caught.value) == visible(str(caught.value))


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"has no manifest\.json: give a folder"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(ManifestError, match=r"manifest\.json cannot be read"):
        Manifest.read(tmp_path)
