"""The exported network: small, and close to the one that was trained."""

import copy
import gzip
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch

from model_build.training.network import CLASSES, Network
from model_build.training.pipeline import export
from model_build.training.pretrained_head import PretrainedHead, ServedNetwork
from model_build.training.recipe import Recipe


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
    export(served, tmp_path / "model.onnx")
    images = torch.rand(2, 3, 96, 128, generator=random) * 2 - 1
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    actual = session.run(["logits", "prior"], {"images": images.numpy()})
    with torch.no_grad():
        expected = served.to(memory_format=torch.contiguous_format)(images)
    for one, other in zip(actual, expected, strict=True):
        assert (
            np.abs(one - other.numpy()).max() < 0.25 * np.abs(other).max()
        )  # random images are the hardest case
    assert "Pad" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert len(gzip.compress((tmp_path / "model.onnx").read_bytes())) < 5_000_000
