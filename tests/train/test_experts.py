"""The pretrained networks of photos: the shipped files, and labels that have no meaning for them."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]
import pytest
import torch
from onnx import numpy_helper

from model_build.archive.manifest import Manifest
from model_build.archive.package import DEFAULT_MODEL
from model_build.data.drawings import FIRST_TEST_SEED, KINDS, draw
from model_build.serving.inference import network_input
from model_build.training.network import PIXEL_MEAN, PIXEL_STD
from model_build.training.pretrained_networks import Classifier, write_experts


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    manifest = Manifest.read(DEFAULT_MODEL)
    assert write_experts(folder, manifest.labels) == manifest.views[-1]
    return folder


def initializers(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of an ONNX file by name."""
    return {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}


def test_training_writes_the_shipped_classifier_and_detector(written: Path) -> None:
    """To the byte where it was made; other kinds of processors round the folded batch norms otherwise."""
    assert (written / "detector.onnx").read_bytes() == (DEFAULT_MODEL / "detector.onnx").read_bytes()
    actual, shipped = (initializers(folder / "classifier.onnx") for folder in (written, DEFAULT_MODEL))
    assert actual.keys() == shipped.keys()
    moved = total = 0
    for name, tensor in shipped.items():
        if tensor.dtype == np.int8:
            steps = np.abs(actual[name].astype(int) - tensor.astype(int))
            assert steps.max() <= 1, name
            moved, total = moved + int(steps.sum()), total + steps.size
        else:
            np.testing.assert_allclose(actual[name], tensor, rtol=1e-5, atol=1e-6, err_msg=name)
    assert moved <= total / 100_000


def test_the_exported_classifier_gives_nearly_the_pretrained_networks_probabilities(written: Path) -> None:
    normalisation = {"mean": PIXEL_MEAN, "std": PIXEL_STD}
    drawings = [draw(kind, FIRST_TEST_SEED, (320, 240)) for kind in KINDS]
    images = np.concatenate([network_input(drawing, 256, normalisation) for drawing in drawings])
    session = onnxruntime.InferenceSession(written / "classifier.onnx", providers=["CPUExecutionProvider"])
    actual = session.run(["logits"], {"images": images})[0]
    with torch.no_grad():
        expected = Classifier().eval()(torch.from_numpy(images))
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.98
    difference = torch.from_numpy(actual).softmax(1) - expected.softmax(1)
    assert difference.abs().max() < 0.1


def test_labels_without_a_meaning_leave_out_the_detector_or_all(tmp_path: Path) -> None:
    assert write_experts(tmp_path, ["bicycle", "cargo drone"]) is None
    assert not list(tmp_path.iterdir())
    view = write_experts(tmp_path, ["lizard", "bicycle"])
    assert view is not None
    assert view.experts is not None
    assert view.experts.detector is None
    assert set(view.experts.classifier.outputs) == {"lizard", "bicycle"}
    assert [path.name for path in tmp_path.iterdir()] == ["classifier.onnx"]
