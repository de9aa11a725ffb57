"""Augmentation."""

import torch

from model_build.training.augmentation import augment
from model_build.training.recipe import Augmentation


def test_augmentation_keeps_pixels_in_range_and_is_repeatable() -> None:
    random = torch.Generator().manual_seed(0)
    images, others = torch.rand(2, 16, 3, 64, 64, generator=random)
    first, again, another = (
        augment(images, others, 96, Augmentation(), torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (16, 3, 96, 96)
    assert 0 <= float(first.min()) < float(first.max()) <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, another)
