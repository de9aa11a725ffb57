"""Fewer drawings and textures, and a pretrained network whose output layer has random weights."""

from collections.abc import Iterator

import pytest
import torch

from model_build.training import dataset
from model_build.training.network import Network
from model_build.training.recipe import Recipe

OUTPUTS = 3


@pytest.fixture(scope="session", autouse=True)
def _small_sets() -> Iterator[None]:
    """Draw as few as tiny archives need: drawing all takes longer than training on them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "DRAWINGS_PER_KIND", 8)
        patch.setattr(dataset, "TEXTURES", 40)
        yield


@pytest.fixture(scope="session")
def network() -> Network:
    torch.set_num_threads(1)
    network = Network(OUTPUTS, Recipe().frozen)
    with torch.no_grad():
        network.head.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    return network
