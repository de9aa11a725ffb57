"""Measure a recipe without touching the test images.

The training images are split into folds. Each fold in turn is left out of training and measured; with it some
of the other kinds are left out altogether, so that each kind is once a kind the network never saw. All
measurements are then looked at together, as those of one model, for each size in which inference looks at
images. `best_temperature` makes the right labels likeliest; a higher one accepts less and is right more
often: choose, and pass it to `train` with --temperature.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from model_build.evaluation import metrics
from model_build.serving.inference import fold as fold_outputs
from model_build.serving.inference import view
from model_build.train import VIEWS, Recipe, add_data_arguments, data_of, fit, recipe_of
from model_build.training.dataset import TrainingSet, folds
from model_build.training.network import normalise
from model_build.training.pretrained_head import WithPrior, fit_prior

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
BATCH: Final = 50


@dataclass(frozen=True)
class Said:
    """What a network and its prior said of images, in each of the views that inference knows.

    Attributes:
        logits: float64 [N, views, outputs], not divided by any temperature.
        priors: log probabilities, float64 [N, views, labels + 1], without any weight.
    """

    logits: metrics.Floats
    priors: metrics.Floats

    def of(self, chosen: Tensor) -> "Said":
        """What was said of some of the images; `chosen` is bool [N]."""
        return Said(self.logits[chosen.numpy()], self.priors[chosen.numpy()])

    def folded(self, number: int, temperature: float, prior_weight: float) -> metrics.Floats:
        """Probabilities [N, labels] in one of the views, as inference computes them."""
        priors = self.priors[:, number]
        labels = priors.shape[1] - 1
        return fold_outputs(self.logits[:, number] / temperature, labels, prior_weight * priors)


@dataclass(frozen=True)
class Measured:
    """What the folds' networks said of images that they were not trained on.

    Attributes:
        known: of images of the labels.
        squeezed: of the same images after JPEG: like is compared with like where some kinds' images have been
            through it and the labels' have not.
        truth: int [N], their labels.
        others: of images of other kinds, seen in training, after JPEG.
        unseen: of images of kinds left out of training, after JPEG.
    """

    known: Said
    squeezed: Said
    truth: metrics.Ints
    others: Said
    unseen: Said


def cross_validate(data: TrainingSet, recipe: Recipe, count: int, only: int | None = None) -> Measured:
    """Train and measure fold by fold.

    Args:
        data: the whole training set.
        recipe: hyperparameters.
        count: how many folds.
        only: how many of them are trained and measured; all by default.
    """
    real, made = torch.nonzero(data.real).flatten(), torch.nonzero(~data.real).flatten()
    parts = [real[part] for part in folds(data.targets[real], count)]
    kinds = [kind for kind in data.targets[real].unique().tolist() if kind >= len(data.labels)]
    measured = []
    for number, part in enumerate(parts[:only]):
        unseen = torch.isin(data.targets, torch.tensor(kinds[number::count], dtype=torch.int64))
        rest = torch.cat([*(other for index, other in enumerate(parts) if index != number), made])
        shown = data.part(rest[~unseen[rest]])
        network, _ = fit(shown, recipe, title=f"fold {number + 1} of {count}")
        served = WithPrior(network, fit_prior(shown, network, recipe.side))
        measured.append(_measure(served, data.part(part), unseen[part]))
    return Measured(
        _together([one.known for one in measured]),
        _together([one.squeezed for one in measured]),
        np.concatenate([one.truth for one in measured]),
        _together([one.others for one in measured]),
        _together([one.unseen for one in measured]),
    )


def _measure(served: WithPrior, part: TrainingSet, unseen: Tensor) -> Measured:
    """What a network says of images it was not trained on; `unseen` is which are of kinds it never saw."""
    known = part.targets < len(part.labels)
    squeezed = look(served, part.compressed)
    return Measured(
        look(served, part.images[known]),
        squeezed.of(known),
        part.targets[known].numpy(),
        squeezed.of(~known & ~unseen),
        squeezed.of(unseen),
    )


def _together(parts: Sequence[Said]) -> Said:
    """What several networks said, as if one had."""
    return Said(np.concatenate([one.logits for one in parts]), np.concatenate([one.priors for one in parts]))


@torch.no_grad()
def look(served: WithPrior, images: Tensor) -> Said:
    """Show thumbnails to a network as inference does, in each of the views that it knows.

    Args:
        served: a trained network with its prior.
        images: uint8 [N, 3, H, W].
    """
    logits, priors = [], []
    for batch in tqdm(images.split(BATCH), desc="measuring", unit="batch", leave=False):
        seen = [_in_view(served, batch, chosen) for chosen in VIEWS]
        logits.append(torch.stack([one for one, _ in seen], 1))
        priors.append(torch.stack([one for _, one in seen], 1))
    return Said(torch.cat(logits).double().numpy(), torch.cat(priors).double().numpy())


def _in_view(served: WithPrior, images: Tensor, chosen: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Logits [N, outputs] and log priors [N, labels + 1] of uint8 images of one size, in one view."""
    pictures = [Image.fromarray(planes) for planes in images.permute(0, 2, 3, 1).contiguous().numpy()]
    seen = np.stack([view(picture, chosen["side"], chosen.get("margin", 0.0)) for picture in pictures])
    pixels = normalise(torch.from_numpy(seen).permute(0, 3, 1, 2) / 255)
    said = [served(one) for one in ([pixels, pixels.flip(3)] if chosen["mirror"] else [pixels])]
    return torch.stack([one for one, _ in said]).mean(0), torch.stack([one for _, one in said]).mean(0)


def best_temperature(known: Said, truth: metrics.Ints, number: int, prior_weight: float) -> float:
    """The temperature under which the right labels are most likely."""

    def surprise(temperature: float) -> float:
        shares = known.folded(number, temperature, prior_weight)[np.arange(len(truth)), truth]
        return float(-np.log(shares.clip(1e-9)).mean())

    return float(min(TEMPERATURES, key=surprise))


def figures(measured: Measured, number: int, recipe: Recipe) -> dict[str, Any]:
    """The measurements of one view as `evaluate` reports them, under the recipe's temperature."""
    weight = VIEWS[number]["prior_weight"]
    temperature = recipe.temperature * VIEWS[number]["softness"]
    known, squeezed, others, unseen = (
        said.folded(number, temperature, weight)
        for said in (measured.known, measured.squeezed, measured.others, measured.unseen)
    )
    threshold = recipe.threshold
    sure = metrics.confidences(squeezed)
    return {
        "side": VIEWS[number]["side"],
        "temperature": temperature,
        "best_temperature": best_temperature(measured.known, measured.truth, number, weight),
        "images": len(known),
        "accuracy": metrics.accuracy(known, measured.truth),
        "coverage": metrics.accepted_share(known, threshold),
        "selective_accuracy": metrics.selective_accuracy(known, measured.truth, threshold),
        "ece": metrics.expected_calibration_error(known, measured.truth),
        "jpeg_accuracy": metrics.accuracy(squeezed, measured.truth),
        "other_images": len(others),
        "other_accepted": metrics.accepted_share(others, threshold),
        "other_auroc": metrics.auroc(sure, metrics.confidences(others)),
        "unseen_images": len(unseen),
        "unseen_accepted": metrics.accepted_share(unseen, threshold),
        "unseen_auroc": metrics.auroc(sure, metrics.confidences(unseen)),
    }


# ------------------------------------------------------------------ the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `cross-validate`: those of the recipe, and how to fold."""
    add_data_arguments(parser)
    parser.add_argument(
        "--folds", type=int, default=5, help="how many parts the training images are split into"
    )
    parser.add_argument("--only", type=int, metavar="N", help="train and measure the first N folds only")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """The command `cross-validate`."""
    recipe = recipe_of(args)
    _, _, data = data_of(args)
    measured = cross_validate(data, recipe, args.folds, args.only)
    report = {
        "folds": args.only or args.folds,
        "views": [figures(measured, number, recipe) for number in range(len(VIEWS))],
    }
    text = json.dumps(report, indent=None if args.json else 2)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0
