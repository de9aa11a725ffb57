"""A model whose files are not those that its manifest describes is refused, in a folder and in an archive."""

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from model_build.archive.loaded_model import open_model
from model_build.archive.manifest import DamagedModelError, Manifest
from model_build.archive.package import package_model, verify_archive
from model_build.data.extract import ExtractionError
from model_build.errors import ModelBuildError
from model_build.serving import inference
from tests.support.tiny_model import write_experts, write_model

LABELS = ("red", "green")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model folder with three networks and their digests."""
    folder = write_experts(write_model(tmp_path / "model", LABELS), LABELS)
    Manifest.read(folder).write(folder)
    return folder


def flip(path: Path, where: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)


def exchange_manifest(folder: Path) -> None:
    """Let the manifest describe another network."""
    document = json.loads((folder / "manifest.json").read_text())
    document["files"]["model.onnx"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(document))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit of the network": lambda folder: flip(folder / "model.onnx", -20),
    "a bit of the classifier": lambda folder: flip(folder / "classifier.onnx", 100),
    "a bit of the detector": lambda folder: flip(folder / "detector.onnx", 100),
    "cut off": lambda folder: (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes()[:-1]),
    "empty": lambda folder: (folder / "model.onnx").write_bytes(b""),
    "another network": lambda folder: (folder / "model.onnx").write_bytes(
        (folder / "detector.onnx").read_bytes()
    ),
    "another manifest": exchange_manifest,
    "missing": lambda folder: (folder / "detector.onnx").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_differs_from_the_manifest_is_refused_in_a_folder_and_in_an_archive(
    model: Path, tmp_path: Path, damage: str
) -> None:
    verify_archive(package_model(model, tmp_path / "good.tar.gz"))
    DAMAGES[damage](model)
    with pytest.raises(ModelBuildError, match=r"\.onnx"), open_model(model):
        pass
    with pytest.raises(ModelBuildError, match=r"\.onnx"):
        package_model(model, tmp_path / "model.tar.gz")
    with pytest.raises((ValueError, FileNotFoundError), match=r"\.onnx"):  # an endpoint's container
        inference.model_fn(str(model))
    with gzip.open(tmp_path / "bad.tar.gz", "wb") as raw, tarfile.open(fileobj=raw, mode="w") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, path.name)
    with pytest.raises(DamagedModelError, match=r"\.onnx"):
        verify_archive(tmp_path / "bad.tar.gz")


@pytest.mark.parametrize("where", [0, 40, -100, -3])
def test_a_bit_flipped_in_an_archive_is_refused(model: Path, tmp_path: Path, where: int) -> None:
    archive = package_model(model, tmp_path / "model.tar.gz")
    flip(archive, where)
    with pytest.raises(ExtractionError), open_model(archive):
        pass
    with pytest.raises(ExtractionError):
        verify_archive(archive)


def test_a_model_without_digests_is_read_as_it_is(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", LABELS)
    assert Manifest.read(folder).files is None
    verify_archive(package_model(folder, tmp_path / "model.tar.gz"))
    with open_model(folder) as loaded:
        assert loaded.labels == LABELS


def test_writing_a_manifest_digests_what_is_there(model: Path, tmp_path: Path) -> None:
    again = Manifest.read(model)
    assert again.write(model).read_bytes() == again.write(model).read_bytes()
    assert Manifest.read(again.write(tmp_path).parent).files is None, "no network is there"
