"""Measure a recipe by cross-validation, without using the test images.

The training images are split into folds. Each fold in turn is held out and measured; with it some classes of
negatives are left out of the training altogether, so that each is once a class that the network never saw.
The measurements of all folds are pooled. `best_temperature` maximises the likelihood of the labels; a higher
one accepts less and raises selective accuracy.
"""

from dataclasses import asdict
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from commandline.terminal import progress
from model_build.evaluation import metrics
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.report import Metrics
from model_build.serving.inference import label_probabilities, view
from model_build.training.dataset import TrainingSet
from model_build.training.fit import fit
from model_build.training.images import DataError
from model_build.training.network import normalise
from model_build.training.pretrained_head import ServedNetwork, fit_pretrained_head
from model_build.training.recipe import THUMBNAIL, Recipe

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
BATCH: Final = 50


class Outputs(NamedTuple):
    """A network's outputs for N thumbnails."""

    logits: metrics.Floats  # float64 [N, outputs], not divided by any temperature
    priors: metrics.Floats  # the pretrained head's log probabilities, float64 [N, labels + 1], unweighted

    @property
    def labels(self) -> int:
        """How many of the outputs are labels; they are the first."""
        return int(self.priors.shape[1]) - 1

    def probabilities(self, temperature: float) -> metrics.Floats:
        """Return the probabilities [N, labels] as inference computes them."""
        weight = THUMBNAIL.prior_weight or 0.0
        return label_probabilities(self.logits / temperature, self.labels, weight * self.priors)


class HeldOut(NamedTuple):
    """The networks' outputs for N images that each was not trained on."""

    targets: metrics.Ints  # int [N], indices of outputs; the first of them are the labels
    unseen: metrics.Bools  # whether the network was trained on no image of this class, [N]
    plain: Outputs  # of the images of labels
    compressed: Outputs  # of all N, compressed as JPEG

    @property
    def known(self) -> metrics.Bools:
        """Whether each image is of a label, [N]."""
        return self.targets < self.compressed.labels


def cross_validate(data: TrainingSet, recipe: Recipe, count: int, only: int | None = None) -> HeldOut:
    """Train and measure `count` folds, or the first `only`; a DataError if a label has fewer images."""
    for index, label in enumerate(data.labels):
        images = int(((data.targets == index) & data.real).sum())
        if images < count:
            raise DataError(f"--folds {count}: {label} has only {images} training images")
    real, synthetic = torch.nonzero(data.real).flatten(), torch.nonzero(~data.real).flatten()
    parts = [real[part] for part in folds(data.targets[real], count)]
    classes = [target for target in data.targets[real].unique().tolist() if target >= len(data.labels)]
    measured = []
    for number, part in enumerate(parts[:only]):
        unseen = torch.isin(data.targets, torch.tensor(classes[number::count], dtype=torch.int64))
        rest = torch.cat([*(other for index, other in enumerate(parts) if index != number), synthetic])
        shown = data.part(rest[~unseen[rest]])
        network, _ = fit(shown, recipe, f"fold {number + 1} of {count}")
        served = ServedNetwork(network, fit_pretrained_head(shown, network, recipe.side))
        plain = predict(served, data.images[part[data.targets[part] < len(data.labels)]])
        compressed = predict(served, data.compressed[part])
        measured.append(HeldOut(data.targets[part].numpy(), unseen[part].numpy(), plain, compressed))
    targets, unseens, plains, compresseds = zip(*measured, strict=True)
    return HeldOut(
        np.concatenate(targets),
        np.concatenate(unseens),
        Outputs(*map(np.concatenate, zip(*plains, strict=True))),
        Outputs(*map(np.concatenate, zip(*compresseds, strict=True))),
    )


def folds(targets: Tensor, count: int) -> list[Tensor]:
    """Split the indices of targets, int64 [N], into stratified folds, the same ones every time."""
    random = torch.Generator().manual_seed(0)
    parts: list[list[Tensor]] = [[] for _ in range(count)]
    for target in targets.unique():
        where = torch.nonzero(targets == target).flatten()
        where = where[torch.randperm(len(where), generator=random)]
        for index, part in enumerate(parts):
            part.append(where[index::count])
    return [torch.cat(part).sort().values for part in parts]


@torch.no_grad()
def predict(served: ServedNetwork, images: Tensor) -> Outputs:
    """Return a network's outputs for thumbnails uint8 [N, 3, H, W], presented as inference presents them."""
    side, margin = THUMBNAIL.side or images.shape[-1], THUMBNAIL.margin or 0.0
    batches, answers = images.split(BATCH), []
    for batch in progress(batches, total=len(batches), title="measuring", unit="batch"):
        pictures = [Image.fromarray(planes) for planes in batch.permute(0, 2, 3, 1).contiguous().numpy()]
        seen = np.stack([view(picture, side, margin) for picture in pictures])
        pixels = normalise(torch.from_numpy(seen).permute(0, 3, 1, 2) / 255)
        both = zip(served(pixels), served(pixels.flip(3)), strict=True)
        answers.append([torch.stack(pair).mean(0) for pair in both])
    return Outputs(*(torch.cat(rows).double().numpy() for rows in zip(*answers, strict=True)))


def best_temperature(known: Outputs, truth: metrics.Ints) -> float:
    """Return the temperature that minimises the negative log-likelihood of the labels."""

    def loss(temperature: float) -> float:
        probabilities = known.probabilities(temperature)
        return float(-np.log(probabilities[np.arange(len(truth)), truth].clip(1e-9)).mean())

    return float(min(TEMPERATURES, key=loss))


def figures(measured: HeldOut, recipe: Recipe) -> dict[str, Any]:
    """Return the figures as `evaluate` names them, at the recipe's temperature and threshold."""
    temperature, threshold = recipe.temperature, recipe.threshold
    truth = measured.targets[measured.known]
    every = measured.compressed.probabilities(temperature)
    compressed, unseen = every[measured.known], every[measured.unseen]
    predictions = Predictions(
        names=(),
        probabilities=measured.plain.probabilities(temperature),
        labels=truth,
        negatives=every[~measured.known & ~measured.unseen],
        negative_names=(),
        jpeg_probabilities=compressed,
    )
    return {
        "side": THUMBNAIL.side,
        "temperature": temperature,
        "best_temperature": best_temperature(measured.plain, truth),
        **asdict(Metrics.of(predictions, threshold)),
        "unseen_images": len(unseen),
        "unseen_accepted": metrics.acceptance_rate(unseen, threshold),
        "unseen_auroc": metrics.auroc(metrics.confidences(compressed), metrics.confidences(unseen)),
    }
