"""Padding fused into convolutions."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import nn

from model_build.training.onnx_files import fuse_padding


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
    axes = {"x": {0: "batch", 2: "height", 3: "width"}}
    torch.onnx.export(
        network, (torch.zeros(1, 3, 64, 64),), str(path), input_names=["x"], dynamic_axes=axes, dynamo=False
    )
    fuse_padding(path)
    assert [node.op_type for node in onnx.load(path).graph.node].count("Pad") == 1
    images = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    actual = session.run(None, {"x": images.numpy()})[0]
    np.testing.assert_allclose(actual, network(images).detach().numpy(), atol=1e-5)
