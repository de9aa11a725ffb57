"""The network: so small that one CPU thread answers in a millisecond, trained from nothing on thumbnails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence


class Block(nn.Module):
    """Halves the image, then looks again at what is left (after airbench's ConvGroup, plus a shortcut)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.refine = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Shape [N, channels_in, H, W] to [N, channels_out, H/2, W/2]."""
        x = self.relu(self.norm1(self.pool(self.reduce(x))))
        out: Tensor = self.relu(x + self.norm2(self.refine(x)))
        return out


class Network(nn.Module):
    """Convolutions, a global maximum (the object may be anywhere), and one linear layer.

    Args:
        outputs: number of classes, kinds that are none of the labels included.
        widths: channels of each block.
        stem: channels of the first convolution.
    """

    def __init__(self, outputs: int, widths: Sequence[int], stem: int = 24) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, padding=1), nn.ReLU(inplace=True))
        blocks = [Block(before, after) for before, after in zip([stem, *widths], widths, strict=False)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(widths[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images [N, 3, H, W] to logits [N, outputs]."""
        logits: Tensor = self.head(self.blocks(self.stem(x)))
        return logits
