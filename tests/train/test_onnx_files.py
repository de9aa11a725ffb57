"""Networks as ONNX files: small, fast, and close to what was trained."""

import copy
import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import nn

from model_build.training.network import CLASSES, Network
from model_build.training.onnx_files import fuse_padding, quantize
from model_build.training.pretrained_head import PretrainedHead, ServedNetwork
from model_build.training.recipe import Recipe


def change(
    network: nn.Module, example: torch.Tensor, path: Path, how: Callable[[onnx.ModelProto], None]
) -> None:
    """Write a network as ONNX, changed."""
    axes = {"images": {0: "batch", 2: "height", 3: "width"}} if example.ndim > 2 else None
    torch.onnx.export(network, (example,), str(path), input_names=["images"], dynamic_axes=axes, dynamo=False)
    model = onnx.load(path)
    how(model)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def run(path: Path, images: torch.Tensor) -> list[Any]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"images": images.numpy()}))


def test_the_exported_network_is_small_and_gives_nearly_the_same_outputs(
    network: Network, tmp_path: Path
) -> None:
    learned = copy.deepcopy(network)
    random = torch.Generator().manual_seed(0)
    relation = torch.rand(CLASSES, 3, generator=random).softmax(1)
    with torch.no_grad():
        for weight in learned.tail.parameters():  # as far as fine-tuning moves weights
            weight.add_(torch.randn(weight.shape, generator=random) * weight.std(correction=0) / 30)
    served = ServedNetwork(learned, PretrainedHead(Recipe().frozen, relation))
    served.export(tmp_path / "model.onnx")
    images = torch.rand(2, 3, 96, 128, generator=random) * 2 - 1
    *actual, features = run(tmp_path / "model.onnx", images)
    assert features.shape == (2, 1280)
    with torch.no_grad():
        expected = served.to(memory_format=torch.contiguous_format)(images)
    for one, other in zip(actual, expected, strict=True):  # random images are the hardest case
        assert np.abs(one - other.numpy()).max() < 0.25 * np.abs(other).max()
    assert "Pad" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert len(gzip.compress((tmp_path / "model.onnx").read_bytes())) < 5_000_000


def test_padding_is_fused_into_the_convolutions_and_the_result_stays(tmp_path: Path) -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(nn.functional.pad(x, (0, 1, 2, 3)))
            x = self.second(nn.functional.pad(x, (1, 0, 0, 0))).relu()
            return nn.functional.pad(x, (1, 1, 0, 0)).mean((2, 3))  # not before a convolution: stays

    path, network = tmp_path / "m.onnx", Padded()
    change(network, torch.zeros(1, 3, 64, 64), path, fuse_padding)
    assert [node.op_type for node in onnx.load(path).graph.node].count("Pad") == 1
    images = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(run(path, images)[0], network(images).detach().numpy(), atol=1e-5)


def test_small_weights_stay_exact(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    layer = nn.Linear(4, 2)
    change(layer, torch.zeros(1, 4), path, lambda _: None)
    before = onnx.load(path).SerializeToString()
    change(layer, torch.zeros(1, 4), path, quantize)
    assert onnx.load(path).SerializeToString() == before


def test_a_fine_tuned_weight_is_stored_as_the_difference_to_its_origin(tmp_path: Path) -> None:
    path, random = tmp_path / "m.onnx", torch.Generator().manual_seed(0)
    origin, learned = nn.Linear(100, 100), nn.Linear(100, 100)
    with torch.no_grad():
        origin.weight.normal_(generator=random)
        learned.weight.copy_(origin.weight + 0.02 * torch.randn(100, 100, generator=random))
    both = nn.Sequential(learned, origin)
    image = torch.randn(1, 100, generator=random)
    expected = both(image).detach().numpy()
    for fine_tuned in ({}, {"0.weight": "1.weight"}):
        change(both, image, path, partial(quantize, fine_tuned=fine_tuned))
        differences = [one.name for one in onnx.load(path).graph.initializer if "difference" in one.name]
        assert bool(differences) == bool(fine_tuned)
        assert np.abs(run(path, image)[0] - expected).max() < 0.1 * np.abs(expected).max()


def test_weights_that_fine_tuning_did_not_change_are_stored_once(tmp_path: Path) -> None:
    path, layer = tmp_path / "m.onnx", nn.Linear(100, 100)
    both = nn.Sequential(layer, copy.deepcopy(layer))
    image = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    change(both, image, path, partial(quantize, fine_tuned={"0.weight": "1.weight"}))
    np.testing.assert_allclose(run(path, image)[0], both(image).detach().numpy(), atol=0.05)
    assert path.stat().st_size < 2 * layer.weight.numel()
