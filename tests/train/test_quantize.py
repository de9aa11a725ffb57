"""Quantized weights."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import nn

from model_build.training.onnx_files import quantize


def test_small_weights_stay_exact(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    torch.onnx.export(nn.Linear(4, 2), (torch.zeros(1, 4),), str(path), dynamo=False)
    before = onnx.load(path).SerializeToString()
    quantize(path)
    assert onnx.load(path).SerializeToString() == before


def test_a_fine_tuned_weight_is_stored_as_the_difference_to_its_origin(tmp_path: Path) -> None:
    path, random = tmp_path / "m.onnx", torch.Generator().manual_seed(0)
    origin, learned = nn.Linear(100, 100), nn.Linear(100, 100)
    with torch.no_grad():
        origin.weight.normal_(generator=random)
        learned.weight.copy_(origin.weight + 0.02 * torch.randn(100, 100, generator=random))
    both = nn.Sequential(learned, origin)
    image = torch.randn(1, 100, generator=random)
    expected, errors = both(image).detach().numpy(), []
    for fine_tuned in ({}, {"0.weight": "1.weight"}):
        torch.onnx.export(both, (image,), str(path), input_names=["x"], dynamo=False)
        quantize(path, fine_tuned)
        differences = [one.name for one in onnx.load(path).graph.initializer if "difference" in one.name]
        assert bool(differences) == bool(fine_tuned)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        errors.append(np.abs(session.run(None, {"x": image.numpy()})[0] - expected).max())
    assert max(errors) < 0.1 * np.abs(expected).max()


def test_weights_that_fine_tuning_did_not_change_are_stored_once(tmp_path: Path) -> None:
    path, layer = tmp_path / "m.onnx", nn.Linear(100, 100)
    both = nn.Sequential(layer, copy.deepcopy(layer))
    image = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    torch.onnx.export(both, (image,), str(path), input_names=["x"], dynamo=False)
    quantize(path, {"0.weight": "1.weight"})
    actual = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, {"x": image.numpy()}
    )
    np.testing.assert_allclose(actual[0], both(image).detach().numpy(), atol=0.05)
    assert path.stat().st_size < 2 * layer.weight.numel()
