"""The pretrained head and the relation of ImageNet's classes to the labels."""

import pytest
import torch
from torch import nn

from model_build.training.network import CLASSES, Network
from model_build.training.pretrained_head import PretrainedHead, fit_relation


def test_the_head_sums_the_probabilities_of_the_classes_of_each_label(network: Network) -> None:
    """Each class belongs to one label: its probability is the sum over its classes."""
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
