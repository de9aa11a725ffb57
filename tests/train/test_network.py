"""The network and what the pretrained weights are folded into."""

import torch
from torch import nn

from model_build.training.network import STAGES, Network, pretrained_weights


def test_a_folded_batch_norm_gives_the_same_result() -> None:
    weights = pretrained_weights()
    network = Network(3, 12)
    network.load_pretrained(weights)
    convolution = nn.Conv2d(3, STAGES[0].channels_in, 3, 2, bias=False)
    norm = nn.BatchNorm2d(STAGES[0].channels_in, eps=1e-3).eval()
    convolution.load_state_dict({"weight": weights["_conv_stem.weight"]})
    norm.load_state_dict(
        {name.removeprefix("_bn0."): value for name, value in weights.items() if name.startswith("_bn0.")}
    )
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = norm(convolution(nn.functional.pad(images, (0, 1, 0, 1)))).clamp(0, 6)
    torch.testing.assert_close(network.front[0](images), expected, atol=1e-4, rtol=1e-4)
