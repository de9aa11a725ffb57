"""What the pretrained network knew before it learned anything of ours: a second opinion on every image.

Fine-tuning on a thousand thumbnails makes a network right about thumbnails and forgetful about the rest of
the world: to it, a fire truck must be one of the few things it was shown. The network it started from tells
a thousand kinds of things apart on photos. How those relate to our labels is read off the training images,
with no name of anything known to the program: image by image the pretrained network says how likely each of
its classes is, and the `relation` says how often what it calls that turned out to be which of our labels, or
none of them. Both opinions are multiplied, this one raised to the power `prior_weight`, when an image is
classified (`serving/inference.py`).

The relation starts as the empirical conditional distribution of LEEP (https://arxiv.org/abs/2002.12462);
steps of expectation-maximisation then give each image to the classes that explain its label best.
"""

from typing import Final

import torch
from torch import Tensor, nn
from tqdm import tqdm

from model_build.training.augmentation import enlarge
from model_build.training.dataset import TrainingSet
from model_build.training.network import CLASSES, Network, normalise, pretrained_weights

STEPS: Final = 30  # of expectation-maximisation; the relation no longer moves after about twenty
UNKNOWN: Final = 1.0  # images of nothing of ours that each class is taken to have had besides those it had
LEAST: Final = 1e-6  # of a probability: one opinion alone must not make anything impossible
OTHERS: Final = 2.5  # weight of all images of other kinds together, where those of the labels weigh 1
WEIGHT_OF_ALL: Final = 1000.0  # images that the labels together count as, however many there are
IMAGES_PER_OUTPUT: Final = 250
MOST_IMAGES: Final = 5000
BATCH: Final = 50


class Prior(nn.Module):
    """The pretrained network behind the frozen part, and the relation of its classes to the labels.

    Args:
        frozen: how many of the 18 parts come before it, as in the `Network` that it belongs to.
        relation: P(label or none | class), float [CLASSES, labels + 1]; the last column is 'none of them'.
    """

    def __init__(self, frozen: int, relation: Tensor) -> None:
        super().__init__()
        weights = pretrained_weights()
        whole = Network(CLASSES, frozen)
        whole.load_pretrained(weights)
        with torch.no_grad():
            whole.head.weight.copy_(weights["_fc.weight"])
            whole.head.bias.copy_(weights["_fc.bias"])
        self.tail, self.head = whole.tail, whole.head
        self.relation: Tensor
        self.register_buffer("relation", relation)
        self.requires_grad_(requires_grad=False)

    def classes(self, features: Tensor) -> Tensor:
        """Feature maps of the frozen part to probabilities of the pretrained classes [N, CLASSES]."""
        shares: Tensor = self.head(self.tail(features).mean((2, 3))).softmax(1)
        return shares

    def forward(self, features: Tensor) -> Tensor:
        """Feature maps of the frozen part to log probabilities [N, labels + 1], the last of 'none'."""
        return (self.classes(features) @ self.relation).clamp_min(LEAST).log()


class WithPrior(nn.Module):
    """What is served: both opinions on an image, from one pass through the frozen part.

    Attributes:
        coarse: names of weights that need little precision: a thousand outputs that are added up again.
    """

    coarse: Final = ("prior.head.weight",)

    def __init__(self, network: Network, prior: Prior) -> None:
        super().__init__()
        self.network, self.prior = network, prior

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images [N, 3, H, W] to logits [N, outputs] and log probabilities [N, labels + 1]."""
        features = self.network.front(images)
        return self.network.finish(features), self.prior(features)

    def origins(self) -> dict[str, str]:
        """Names of the weights that learned, each with the name of the pretrained weight it started as."""
        names = [name for name, _ in self.network.tail.named_parameters()]
        return {f"network.tail.{name}": f"prior.tail.{name}" for name in names}


@torch.no_grad()
def fit_prior(data: TrainingSet, network: Network, side: int) -> Prior:
    """Look at training images with the pretrained network and find the relation to the labels.

    Args:
        data: the training set; of each output some hundred images are looked at, as JPEG left them.
        network: whose frozen part comes first.
        side: height and width of the network's input.
    """
    labels = len(data.labels)
    prior = Prior(len(network.front), torch.zeros(CLASSES, labels + 1))
    chosen = _sample(data.targets)
    shares = [
        prior.classes(network.front(normalise(enlarge(batch / 255, side))))
        for batch in tqdm(data.compressed[chosen].split(BATCH), desc="prior", unit="batch")
    ]
    groups = data.targets[chosen].clamp_max(labels)
    relation = fit_relation(torch.cat(shares), groups, _weights(data.targets[chosen], labels))
    prior.relation.copy_(relation)
    prior.eval()
    return prior


def _sample(targets: Tensor) -> Tensor:
    """Indices of equally many images of each output; the same ones every time."""
    chance = torch.Generator().manual_seed(0)
    kinds = targets.unique()
    count = min(IMAGES_PER_OUTPUT, MOST_IMAGES // len(kinds))
    chosen = []
    for kind in kinds:
        where = torch.nonzero(targets == kind).flatten()
        chosen.append(where[torch.randperm(len(where), generator=chance)[:count]])
    return torch.cat(chosen)


def _weights(targets: Tensor, labels: int) -> Tensor:
    """What each image counts: every label the same in total, and every other kind."""
    counts = torch.bincount(targets)
    others = max(int((counts[labels:] > 0).sum()), 1)
    totals = torch.where(torch.arange(len(counts)) < labels, 1 / labels, OTHERS / others)
    return (WEIGHT_OF_ALL * totals / counts)[targets]


def fit_relation(shares: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
    """Find P(group | class) under which the groups of these images are most likely.

    Args:
        shares: probabilities of classes by image, float [N, classes].
        groups: int64 [N]; the highest is 'none of the labels'.
        weights: how much each image counts, float [N].

    Returns:
        Float [classes, groups]; rows sum to 1. A class that no image showed belongs to the last group.
    """
    truth = nn.functional.one_hot(groups).to(shares.dtype)
    relation = torch.full((shares.shape[1], truth.shape[1]), 1 / truth.shape[1])
    for _ in range(STEPS):
        explained = shares * (truth @ relation.T)
        explained /= explained.sum(1, keepdim=True)
        counts = (explained * weights[:, None]).T @ truth
        counts[:, -1] += UNKNOWN
        relation = counts / counts.sum(1, keepdim=True)
    return relation
