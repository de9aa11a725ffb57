"""Measure a recipe by cross-validation, without using the test images.

The training images are split into folds. Each fold in turn is held out and measured; with it some classes of
negatives are left out of the training altogether, so that each is once a class that the network never saw.
The measurements of all folds are pooled. `best_temperature` maximises the
likelihood of the labels; a higher one accepts less and raises selective accuracy: choose, and pass it to
`train` with --temperature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from commandline.terminal import progress
from model_build.evaluation import metrics
from model_build.serving.inference import label_probabilities, view
from model_build.training.dataset import TrainingSet
from model_build.training.fit import fit
from model_build.training.images import DataError
from model_build.training.network import normalise
from model_build.training.pretrained_head import ServedNetwork, fit_pretrained_head
from model_build.training.recipe import THUMBNAIL, Recipe

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
BATCH: Final = 50


@dataclass(frozen=True)
class Outputs:
    """A network's outputs for thumbnails.

    Attributes:
        priors: the pretrained head's log probabilities, float64 [N, labels + 1], unweighted.
    """

    logits: metrics.Floats  # float64 [N, outputs], not divided by any temperature
    priors: metrics.Floats

    def of(self, chosen: Tensor) -> "Outputs":
        """Return the outputs for some of the images; `chosen` is bool [N]."""
        return Outputs(self.logits[chosen.numpy()], self.priors[chosen.numpy()])

    def probabilities(self, temperature: float) -> metrics.Floats:
        """Return the probabilities [N, labels] as inference computes them."""
        labels = self.priors.shape[1] - 1
        weight = THUMBNAIL.prior_weight or 0.0
        return label_probabilities(self.logits / temperature, labels, weight * self.priors)


@dataclass(frozen=True)
class HeldOut:
    """The networks' outputs for the images that each was not trained on."""

    known: Outputs
    compressed: Outputs
    truth: metrics.Ints  # int [N], the labels
    negatives: Outputs
    unseen: Outputs


def cross_validate(data: TrainingSet, recipe: Recipe, count: int, only: int | None = None) -> HeldOut:
    """Train and measure fold by fold.

    Args:
        only: train and measure this many of them; all by default.

    Raises:
        DataError: a label has fewer images than there are folds.
    """
    _check(data, count)
    real, synthetic = torch.nonzero(data.real).flatten(), torch.nonzero(~data.real).flatten()
    parts = [real[part] for part in folds(data.targets[real], count)]
    classes = [target for target in data.targets[real].unique().tolist() if target >= len(data.labels)]
    measured = []
    for number, part in enumerate(parts[:only]):
        unseen = torch.isin(data.targets, torch.tensor(classes[number::count], dtype=torch.int64))
        rest = torch.cat([*(other for index, other in enumerate(parts) if index != number), synthetic])
        shown = data.part(rest[~unseen[rest]])
        network, _ = fit(shown, recipe, title=f"fold {number + 1} of {count}")
        served = ServedNetwork(network, fit_pretrained_head(shown, network, recipe.side))
        measured.append(_measure(served, data.part(part), unseen[part]))
    return HeldOut(
        _concatenate([one.known for one in measured]),
        _concatenate([one.compressed for one in measured]),
        np.concatenate([one.truth for one in measured]),
        _concatenate([one.negatives for one in measured]),
        _concatenate([one.unseen for one in measured]),
    )


def _check(data: TrainingSet, count: int) -> None:
    for index, label in enumerate(data.labels):
        images = int(((data.targets == index) & data.real).sum())
        if images < count:
            raise DataError(f"--folds {count}: {label} has only {images} training images")


def folds(targets: Tensor, count: int, seed: int = 0) -> list[Tensor]:
    """Split indices into stratified folds.

    Args:
        targets: int64 [N].
    """
    random = torch.Generator().manual_seed(seed)
    parts: list[list[Tensor]] = [[] for _ in range(count)]
    for target in targets.unique():
        where = torch.nonzero(targets == target).flatten()
        where = where[torch.randperm(len(where), generator=random)]
        for index, part in enumerate(parts):
            part.append(where[index::count])
    return [torch.cat(part).sort().values for part in parts]


def _measure(served: ServedNetwork, part: TrainingSet, unseen: Tensor) -> HeldOut:
    """Return the outputs for held-out images; `unseen` marks those of classes left out of training."""
    known = part.targets < len(part.labels)
    compressed = predict(served, part.compressed)
    return HeldOut(
        predict(served, part.images[known]),
        compressed.of(known),
        part.targets[known].numpy(),
        compressed.of(~known & ~unseen),
        compressed.of(unseen),
    )


def _concatenate(parts: Sequence[Outputs]) -> Outputs:
    return Outputs(
        np.concatenate([one.logits for one in parts]), np.concatenate([one.priors for one in parts])
    )


@torch.no_grad()
def predict(served: ServedNetwork, images: Tensor) -> Outputs:
    """Return a network's outputs for thumbnails, presented as inference presents them.

    Args:
        images: uint8 [N, 3, H, W].
    """
    batches = images.split(BATCH)
    answers = [
        _predict(served, batch)
        for batch in progress(batches, total=len(batches), title="measuring", unit="batch")
    ]
    logits, priors = (torch.cat(rows).double().numpy() for rows in zip(*answers, strict=True))
    return Outputs(logits, priors)


def _predict(served: ServedNetwork, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits [N, outputs] and log priors [N, labels + 1] of uint8 images of one size."""
    pictures = [Image.fromarray(planes) for planes in images.permute(0, 2, 3, 1).contiguous().numpy()]
    side, margin = THUMBNAIL.side or images.shape[-1], THUMBNAIL.margin or 0.0
    seen = np.stack([view(picture, side, margin) for picture in pictures])
    pixels = normalise(torch.from_numpy(seen).permute(0, 3, 1, 2) / 255)
    answers = [served(one) for one in (pixels, pixels.flip(3))]
    return torch.stack([one for one, _ in answers]).mean(0), torch.stack([one for _, one in answers]).mean(0)


def best_temperature(known: Outputs, truth: metrics.Ints) -> float:
    """Return the temperature that minimises the negative log-likelihood of the labels."""

    def loss(temperature: float) -> float:
        probabilities = known.probabilities(temperature)
        return float(-np.log(probabilities[np.arange(len(truth)), truth].clip(1e-9)).mean())

    return float(min(TEMPERATURES, key=loss))


def figures(measured: HeldOut, recipe: Recipe) -> dict[str, Any]:
    """Return the figures as `evaluate` names them, at the recipe's temperature and threshold."""
    temperature = recipe.temperature
    known, compressed, negatives, unseen = (
        outputs.probabilities(temperature)
        for outputs in (measured.known, measured.compressed, measured.negatives, measured.unseen)
    )
    threshold = recipe.threshold
    confidences = metrics.confidences(compressed)
    return {
        "side": THUMBNAIL.side,
        "temperature": temperature,
        "best_temperature": best_temperature(measured.known, measured.truth),
        "images": len(known),
        "accuracy": metrics.accuracy(known, measured.truth),
        "coverage": metrics.acceptance_rate(known, threshold),
        "selective_accuracy": metrics.selective_accuracy(known, measured.truth, threshold),
        "ece": metrics.expected_calibration_error(known, measured.truth),
        "jpeg_accuracy": metrics.accuracy(compressed, measured.truth),
        "other_images": len(negatives),
        "other_accepted": metrics.acceptance_rate(negatives, threshold),
        "other_auroc": metrics.auroc(confidences, metrics.confidences(negatives)),
        "unseen_images": len(unseen),
        "unseen_accepted": metrics.acceptance_rate(unseen, threshold),
        "unseen_auroc": metrics.auroc(confidences, metrics.confidences(unseen)),
    }
