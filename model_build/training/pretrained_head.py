"""The pretrained head: the ImageNet classifier as a second prediction, mapped to our labels.

A network fine-tuned on a thousand thumbnails forgets most of what ImageNet taught: it takes a fire truck for
one of the few classes that it was trained on. The original network still tells a thousand classes apart. How
they relate to our labels is estimated from the training images: `relation` holds how often an image of each
class turned out to have each label, or none. At inference both predictions are multiplied, this one raised to
the power `prior_weight` (`serving/inference.py`).

The relation starts as the empirical conditional distribution of LEEP (https://arxiv.org/abs/2002.12462);
steps of expectation-maximisation then assign each image to the classes that explain its label best.
"""

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from commandline.terminal import progress
from model_build.training.augmentation import resize
from model_build.training.dataset import TrainingSet
from model_build.training.network import (
    CLASSES,
    Network,
    imagenet_layer,
    normalise,
    pretrained_parts,
    pretrained_weights,
)
from model_build.training.onnx_files import export

STEPS: Final = 30  # of expectation-maximisation; the relation converges after about twenty
PSEUDO_COUNT: Final = 1.0  # of negatives that each class starts with
MIN_PROBABILITY: Final = 1e-6  # so that this head alone cannot rule out a label
NEGATIVES_WEIGHT: Final = 2.5  # total weight of all negatives; that of all labelled images is 1
TOTAL_WEIGHT: Final = 1000.0  # of the labelled images, however many there are
IMAGES_PER_OUTPUT: Final = 250
MAX_IMAGES: Final = 5000
BATCH: Final = 50


class PretrainedHead(nn.Module):
    """What follows the frozen part, and P(label or none | class), [CLASSES, labels + 1], "none" last."""

    def __init__(self, frozen: int, relation: Tensor) -> None:
        super().__init__()
        weights = pretrained_weights()
        self.tail = nn.Sequential(*pretrained_parts(weights)[frozen:])
        self.head = imagenet_layer(weights)
        self.relation: Tensor
        self.register_buffer("relation", relation)
        self.requires_grad_(requires_grad=False)

    def classes(self, features: Tensor) -> Tensor:
        """Map feature maps of the frozen part to probabilities of the ImageNet classes [N, CLASSES]."""
        probabilities: Tensor = self.head(self.tail(features).mean((2, 3))).softmax(1)
        return probabilities

    def forward(self, features: Tensor) -> Tensor:
        """Map feature maps of the frozen part to log probabilities [N, labels + 1], "none" last."""
        return (self.classes(features) @ self.relation).clamp_min(MIN_PROBABILITY).log()


class ServedNetwork(nn.Module):
    """What is exported: both heads behind one frozen part; attributes name weights in the ONNX file."""

    def __init__(self, network: Network, head: PretrainedHead) -> None:
        super().__init__()
        self.network, self.prior = network, head

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised images [N, 3, H, W] to logits [N, outputs] and log probabilities [N, labels + 1]."""
        features = self.network.front(images)
        return self.network.classify(features), self.prior(features)

    def export(self, path: Path) -> None:
        """Write ONNX: normalised `images` [batch, 3, H, W] to `logits`, `prior` and `features`."""
        names = [name for name, _ in self.network.tail.named_parameters()]
        origins = {f"network.tail.{name}": f"prior.tail.{name}" for name in names}
        export(self, path, ["logits", "prior"], origins, coarse="prior.head.weight")


@torch.no_grad()
def fit_pretrained_head(data: TrainingSet, network: Network, side: int) -> PretrainedHead:
    """Estimate the relation of ImageNet's classes to the labels from equally many images of each output."""
    labels, outputs = len(data.labels), data.targets.unique()
    head = PretrainedHead(len(network.front), torch.zeros(CLASSES, labels + 1))
    random, count = torch.Generator().manual_seed(0), min(IMAGES_PER_OUTPUT, MAX_IMAGES // len(outputs))
    of_outputs = [torch.nonzero(data.targets == output).flatten() for output in outputs]
    chosen = torch.cat([one[torch.randperm(len(one), generator=random)[:count]] for one in of_outputs])
    batches = data.compressed[chosen].split(BATCH)
    probabilities = [
        head.classes(network.front(normalise(resize(batch / 255, side))))
        for batch in progress(batches, total=len(batches), title="pretrained head", unit="batch")
    ]
    targets = data.targets[chosen]
    counts = torch.bincount(targets)
    negatives = max(int((counts[labels:] > 0).sum()), 1)
    totals = torch.where(torch.arange(len(counts)) < labels, 1 / labels, NEGATIVES_WEIGHT / negatives)
    weights = (TOTAL_WEIGHT * totals / counts)[targets]
    head.relation.copy_(fit_relation(torch.cat(probabilities), targets.clamp_max(labels), weights))
    head.eval()
    return head


def fit_relation(probabilities: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
    """Find the P(group | class), [classes, groups], that maximises the likelihood of the images' groups.

    Probabilities are of the classes, float [N, classes]; groups int64 [N], of which the last is "none of the
    labels", to which a class without images belongs; weights of the images, float [N].
    """
    truth = nn.functional.one_hot(groups).to(probabilities.dtype)
    relation = torch.full((probabilities.shape[1], truth.shape[1]), 1 / truth.shape[1])
    for _ in range(STEPS):
        responsibilities = probabilities * (truth @ relation.T)
        responsibilities /= responsibilities.sum(1, keepdim=True)
        counts = (responsibilities * weights[:, None]).T @ truth
        counts[:, -1] += PSEUDO_COUNT
        relation = counts / counts.sum(1, keepdim=True)
    return relation
