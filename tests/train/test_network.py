"""The network: what its weights start from, how it is augmented and fine-tuned, and its pretrained head."""

import pytest
import torch
from torch import nn

from model_build.training.augmentation import augment
from model_build.training.fit import Trainer, blend, learning_rate
from model_build.training.network import CLASSES, STAGES, Network, pretrained_weights
from model_build.training.pretrained_head import PretrainedHead, fit_relation
from model_build.training.recipe import Augmentation


def test_a_folded_batch_norm_gives_the_same_result(network: Network) -> None:
    weights = pretrained_weights()
    convolution = nn.Conv2d(3, STAGES[0].channels_in, 3, 2, bias=False)
    norm = nn.BatchNorm2d(STAGES[0].channels_in, eps=1e-3).eval()
    convolution.load_state_dict({"weight": weights["_conv_stem.weight"]})
    norm.load_state_dict(
        {name.removeprefix("_bn0."): value for name, value in weights.items() if name.startswith("_bn0.")}
    )
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = norm(convolution(nn.functional.pad(images, (0, 1, 0, 1)))).clamp(0, 6)
    torch.testing.assert_close(network.front[0](images), expected, atol=1e-4, rtol=1e-4)


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


def test_blending_interpolates_towards_the_pretrained_weights() -> None:
    network = Network(3, 12)
    weight = next(network.tail.parameters())
    start = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
    blend(network, 0.75)
    torch.testing.assert_close(weight, start + 0.25)


def test_the_learning_rate_rises_linearly_and_decays_to_zero() -> None:
    assert learning_rate(0.0, warmup=0.2) == 0.01
    rates = [learning_rate(progress, warmup=0.2) for progress in (0.1, 0.2, 0.6, 1.0)]
    assert rates == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=1e-6)


def test_progress_is_by_steps_or_by_time_whichever_is_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1030.0)
    trainer = object.__new__(Trainer)  # without data and network
    trainer.total, trainer.steps, trainer.time_budget, trainer.started = 10, 2, 100, 1000.0
    assert trainer.progress == pytest.approx(0.3)
    trainer.steps = 5
    assert trainer.progress == pytest.approx(0.5)
    trainer.started = 0.0
    assert trainer.progress == 1.0


def test_the_head_sums_the_probabilities_of_the_classes_of_each_label(network: Network) -> None:
    groups = torch.arange(CLASSES) % 3
    head = PretrainedHead(len(network.front), nn.functional.one_hot(groups).float())
    features = network.front(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        shares, probabilities = head.classes(features), head(features).exp()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    torch.testing.assert_close(probabilities[:, 1], shares[:, groups == 1].sum(1))


def test_a_class_is_related_to_the_labels_of_its_images() -> None:
    """Classes 0 and 1 come with label 0, 2 with label 1 and negatives, 3 with negatives, 4 with no image."""
    shown = torch.tensor([0, 1, 2, 2, 3] * 40)
    groups = torch.tensor([0, 0, 1, 2, 2] * 40)
    shares = 0.9 * nn.functional.one_hot(shown, 5).float() + 0.1 / 4 * (torch.arange(5) < 4)
    relation = fit_relation(shares, groups, torch.ones(len(groups)))
    torch.testing.assert_close(relation.sum(1), torch.ones(5))
    assert relation[:2, 0].min() > 0.9
    assert relation[2, 1:].tolist() == pytest.approx([0.5, 0.5], abs=0.1)
    assert relation[3:, 2].min() > 0.9


def test_an_image_counts_by_its_weight() -> None:
    shares, groups = torch.ones(4, 1), torch.tensor([0, 1, 1, 2])
    relation = fit_relation(shares, groups, torch.tensor([200.0, 50.0, 50.0, 100.0]))
    assert relation[0].tolist() == pytest.approx([0.5, 0.25, 0.25], abs=0.01)
