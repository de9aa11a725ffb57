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
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from model_build import metrics
from model_build.augment import enlarge
from model_build.network import normalise
from model_build.prior import WithPrior, fit_prior
from model_build.serving.inference import fold as fold_outputs
from model_build.train import VIEWS, Recipe, add_data_arguments, data_of, fit, recipe_of
from model_build.training_data import TrainingSet, folds

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

    def of(self, chosen: Any) -> "Said":
        """What was said of some of the images."""
        return Said(self.logits[chosen], self.priors[chosen])

    def folded(self, view: int, temperature: float, prior_weight: float) -> metrics.Floats:
        """Probabilities [N, labels], as inference computes them."""
        priors = self.priors[:, view]
        labels = priors.shape[1] - 1
        return fold_outputs(self.logits[:, view] / temperature, labels, prior_weight * priors)


@dataclass(frozen=True)
class Measured:
    """What the folds' networks said of images that they were not trained on.

    Attributes:
        known: of images of the labels.
        truth: int [N], their labels.
        others: of images of other kinds, seen in training.
        unseen: of images of kinds left out of training.
    """

    known: Said
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
        said, targets = look(served, data.images[part]), data.targets[part]
        known, strange = (targets < len(data.labels)).numpy(), unseen[part].numpy()
        others = said.of(~known & ~strange)
        measured.append(Measured(said.of(known), targets[known].numpy(), others, said.of(strange)))
    return Measured(
        _together([one.known for one in measured]),
        np.concatenate([one.truth for one in measured]),
        _together([one.others for one in measured]),
        _together([one.unseen for one in measured]),
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
        seen = [_in_view(served, batch / 255, view) for view in VIEWS]
        logits.append(torch.stack([one for one, _ in seen], 1))
        priors.append(torch.stack([one for _, one in seen], 1))
    return Said(torch.cat(logits).double().numpy(), torch.cat(priors).double().numpy())


def _in_view(served: WithPrior, images: Tensor, view: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Logits [N, outputs] and log priors [N, labels + 1] of images in 0..1 in one view."""
    margin = round(view.get("margin", 0.0) * images.shape[-1])
    pixels = functional.pad(images, (margin,) * 4, mode="reflect") if margin else images
    pixels = normalise(enlarge(pixels, view["side"]))
    said = [served(one) for one in ([pixels, pixels.flip(3)] if view["mirror"] else [pixels])]
    return torch.stack([one for one, _ in said]).mean(0), torch.stack([one for _, one in said]).mean(0)


def best_temperature(known: Said, truth: metrics.Ints, view: int, prior_weight: float) -> float:
    """The temperature under which the right labels are most likely."""

    def surprise(temperature: float) -> float:
        shares = known.folded(view, temperature, prior_weight)[np.arange(len(truth)), truth]
        return float(-np.log(shares.clip(1e-9)).mean())

    return float(min(TEMPERATURES, key=surprise))


def figures(measured: Measured, view: int, recipe: Recipe) -> dict[str, Any]:
    """The measurements of one view as `evaluate` reports them, under the recipe's temperature."""
    weight = VIEWS[view]["prior_weight"]
    temperature = recipe.temperature * VIEWS[view]["softness"]
    known, others, unseen = (
        said.folded(view, temperature, weight) for said in (measured.known, measured.others, measured.unseen)
    )
    threshold = recipe.threshold
    sure = metrics.confidences(known)
    return {
        "side": VIEWS[view]["side"],
        "temperature": temperature,
        "best_temperature": best_temperature(measured.known, measured.truth, view, weight),
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
        "views": [figures(measured, view, recipe) for view in range(len(VIEWS))],
    }
    text = json.dumps(report, indent=None if args.json else 2)
    if args.output:
        args.output.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0
