"""Measure a recipe without touching the test images.

The training images are split into folds. Each fold in turn is left out of training and measured; with it some
of the other kinds are left out altogether, so that each kind is once a kind the network never saw. All
measurements are then looked at together, as those of one model, for each size in which inference looks at
images. The first size's temperature makes the confidences honest: pass it to `train` with --temperature.
"""

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from model_build import metrics
from model_build.augment import enlarge
from model_build.network import Network
from model_build.serving.inference import fold as fold_outputs
from model_build.train import VIEWS, Recipe, add_data_arguments, data_of, fit, normalise, recipe_of
from model_build.training_data import TrainingSet, folds

TEMPERATURES: Final = np.geomspace(0.3, 3.0, 93)
BATCH: Final = 50


@dataclass(frozen=True)
class Measured:
    """What the folds' networks said of images that they were not trained on.

    Attributes:
        known: logits [N, views, outputs] of images of the labels.
        truth: int [N], their labels.
        others: logits [M, views, outputs] of images of other kinds, seen in training.
        unseen: logits [K, views, outputs] of images of kinds left out of training.
    """

    known: metrics.Floats
    truth: metrics.Ints
    others: metrics.Floats
    unseen: metrics.Floats


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
        network, _ = fit(data.part(rest[~unseen[rest]]), recipe, title=f"fold {number + 1} of {count}")
        said, targets = logits(network, data.images[part]), data.targets[part]
        known, strange = (targets < len(data.labels)).numpy(), unseen[part].numpy()
        measured.append(Measured(said[known], targets[known].numpy(), said[~known & ~strange], said[strange]))
    names = [one.name for one in dataclasses.fields(Measured)]
    return Measured(**{name: np.concatenate([getattr(one, name) for one in measured]) for name in names})


@torch.no_grad()
def logits(network: Network, images: Tensor) -> metrics.Floats:
    """What a network says of thumbnails in each of the views that inference knows.

    Args:
        network: a trained network.
        images: uint8 [N, 3, H, W].

    Returns:
        float64 [N, views, outputs], not divided by any temperature.
    """
    said = []
    for batch in images.split(BATCH):
        views = []
        for view in VIEWS:
            pixels = normalise(enlarge(batch / 255, int(view["side"])))
            both = [pixels, pixels.flip(3)] if view["mirror"] else [pixels]
            views.append(torch.stack([network(one) for one in both]).mean(0))
        said.append(torch.stack(views, 1))
    result: metrics.Floats = torch.cat(said).double().numpy()
    return result


def best_temperature(known: metrics.Floats, truth: metrics.Ints, labels: int) -> float:
    """The temperature under which the right labels are most likely; `known` is [N, outputs]."""

    def surprise(temperature: float) -> float:
        shares = fold_outputs(known / temperature, labels)[np.arange(len(truth)), truth]
        return float(-np.log(shares.clip(1e-9)).mean())

    return float(min(TEMPERATURES, key=surprise))


def figures(measured: Measured, view: int, labels: int, threshold: float) -> dict[str, Any]:
    """The measurements of one view as `evaluate` reports them, under the best temperature for it."""
    temperature = best_temperature(measured.known[:, view], measured.truth, labels)
    known, others, unseen = (
        fold_outputs(scores[:, view] / temperature, labels)
        for scores in (measured.known, measured.others, measured.unseen)
    )
    sure = metrics.confidences(known)
    return {
        "side": VIEWS[view]["side"],
        "temperature": temperature,
        "images": len(known),
        "accuracy": metrics.accuracy(known, measured.truth),
        "coverage": metrics.accepted_share(known, threshold),
        "selective_accuracy": metrics.selective_accuracy(known, measured.truth, threshold),
        "ece": metrics.expected_calibration_error(known, measured.truth),
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
        "views": [figures(measured, view, len(data.labels), recipe.threshold) for view in range(len(VIEWS))],
    }
    text = json.dumps(report, indent=None if args.json else 2)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0
