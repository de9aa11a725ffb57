"""Measure the settings of the pretrained networks that classify photos, by nested cross-validation.

The settings are the sizes at which the classifier and the detector see a photo, and the weight of their
product (`expert_logits` of serving/inference.py). Photos that chose a setting cannot measure it: here each
fold of the photos is classified with the settings that the other folds chose, and the predictions for all
folds are measured together (Varma and Simon 2006, https://doi.org/10.1186/1471-2105-7-91). Several ways of
splitting and several criteria of choice show how much the result depends on either.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from commandline.terminal import progress
from model_build.artifact.manifest import Experts, ExpertsView, Manifest
from model_build.errors import UsageError
from model_build.evaluation import metrics
from model_build.evaluation.figures import Metrics
from model_build.evaluation.metrics import Floats, Ints
from model_build.evaluation.predictions import Picture, Predictions, read_photos
from model_build.evaluation.promise import ErrorBound
from model_build.serving import inference

SCALES: Final = (0.875, 1.0, 1.25)
"""Sizes to choose from, relative to the model's."""
WEIGHTS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
SEEDS: Final = range(5)
NEGATIVE: Final = -1
PRICE_OF_AN_ERROR: Final = 5
"""Right answers that one wrong one outweighs: an accepted error costs more than a look at a photo."""
STEP: Final = 32


@dataclass(frozen=True)
class Setting:
    """What is chosen.

    Attributes:
        classifier_side: size at which the classifier sees a photo, see `inference.view`.
        detector_side: the same of the detector; None without one.
        weight: exponent of the product of odds.
    """

    classifier_side: int
    detector_side: int | None
    weight: float


@dataclass(frozen=True)
class Measured:
    """The log odds of N photos at every size.

    Attributes:
        odds: float [N, labels] by (classifier's side, detector's side), for a weight of 1.
        truth: int [N]; `NEGATIVE` for a photo of none of the labels.
    """

    odds: Mapping[tuple[int, int | None], Floats]
    truth: Ints

    def settings(self) -> list[Setting]:
        """Return all combinations to choose from."""
        return [Setting(*sides, weight) for sides, weight in product(self.odds, WEIGHTS)]

    def probabilities(self, setting: Setting) -> Floats:
        """Return the answers with a setting, float [N, labels]."""
        odds = setting.weight * self.odds[setting.classifier_side, setting.detector_side]
        return inference.fold(np.hstack([odds, np.zeros((len(odds), 1))]), odds.shape[1])


def log_likelihood(probabilities: Floats, truth: Ints, threshold: float) -> float:  # noqa: ARG001
    """Return the mean log likelihood; a photo of none of the labels should give even odds."""
    targets = np.full_like(probabilities, 1 / probabilities.shape[1])
    known = truth != NEGATIVE
    targets[known] = np.eye(probabilities.shape[1])[truth[known]]
    return float((targets * np.log(probabilities.clip(1e-9))).sum(axis=1).mean())


def net_acceptance(probabilities: Floats, truth: Ints, threshold: float) -> float:
    """Return the share of photos accepted and right, less `PRICE_OF_AN_ERROR` times that accepted wrongly."""
    accepted = metrics.confidences(probabilities) >= threshold
    right = probabilities.argmax(axis=1) == truth
    return float((accepted & right).mean() - PRICE_OF_AN_ERROR * (accepted & ~right).mean())


Criterion = Callable[[Floats, Ints, float], float]
CRITERIA: Final[Mapping[str, Criterion]] = {
    "log likelihood": log_likelihood,
    "accepted right, less errors": net_acceptance,
}


def nested_cross_validation(model: Path, folders: Sequence[Path], folds: int) -> dict[str, Any]:
    """Choose and measure the settings of a model's pretrained networks on labelled photos.

    Args:
        model: a model folder whose photos are classified by pretrained networks.
        folders: photos in `<label>/` and `other/`, as `evaluate` reads them.
        folds: into how many parts the photos are split, at least 2.

    Returns:
        The figures of each run (one way of splitting, one criterion) and how often each setting was chosen.

    Raises:
        UsageError: the model has no pretrained networks for photos, or a class has fewer photos than folds.
    """
    manifest = Manifest.read(model, str(model))
    experts = _experts(manifest, model)
    pictures = [picture for folder in folders for picture in read_photos(manifest.labels, folder)]
    measured, skipped = measure(model, experts, pictures, folds)
    threshold = manifest.default_threshold
    chosen: Counter[Setting] = Counter()
    runs = []
    for name, seed in product(CRITERIA, SEEDS):
        answers = np.empty((len(measured.truth), len(manifest.labels)))
        for part in split(measured.truth, folds, seed):
            setting = choose(measured, ~part, CRITERIA[name], threshold)
            answers[part] = measured.probabilities(setting)[part]
            chosen[setting] += 1
        runs.append({"criterion": name, "seed": seed, **_figures(answers, measured.truth, threshold)})
    return {
        "folds": folds,
        "photos": len(measured.truth),
        "not_measured": skipped,
        "settings": len(measured.settings()),
        "runs": runs,
        "chosen": [{**asdict(setting), "times": times} for setting, times in chosen.most_common()],
    }


def _experts(manifest: Manifest, model: Path) -> Experts:
    for view in manifest.views:
        if isinstance(view, ExpertsView):
            return view.experts
    raise UsageError(
        f"{model}: no pretrained networks classify this model's photos; there is nothing to choose"
    )


def measure(
    model: Path, experts: Experts, pictures: Sequence[Picture], folds: int
) -> tuple[Measured, list[str]]:
    """Run the pretrained networks on photos at every size.

    Returns:
        The log odds; and a message for each picture that is unreadable, or so small that the trained network
        classifies it.
    """
    loaded = inference.model_fn(str(model))
    described = next(view["experts"] for view in loaded.manifest["views"] if "experts" in view)
    rows: list[dict[tuple[int, int | None], Floats]] = []
    truth, skipped = [], []
    for picture in progress(pictures, total=len(pictures), title="photos", unit="photo"):
        try:
            image = inference.decode(picture.body)
        except inference.BadRequest as error:
            skipped.append(f"{picture.name}: {error}")
            continue
        if "experts" not in inference.view_for(image, loaded.manifest["views"]):
            skipped.append(f"{picture.name}: so small that the trained network classifies it")
            continue
        rows.append(_odds(loaded, image, described, experts))
        truth.append(NEGATIVE if picture.label is None else loaded.labels.index(picture.label))
    labels = np.array(truth, dtype=np.int64)
    for label, name in [*enumerate(loaded.labels), (NEGATIVE, "other")]:
        if (count := int((labels == label).sum())) < folds:
            raise UsageError(f"--folds {folds}: {name} has only {count} photos that can be measured")
    return Measured({sides: np.stack([row[sides] for row in rows]) for sides in rows[0]}, labels), skipped


def _odds(
    loaded: inference.Model, image: Any, described: dict[str, Any], experts: Experts
) -> dict[tuple[int, int | None], Floats]:
    """Return a photo's log odds at each pair of sizes: those of the two networks add up."""

    def ask(classifier_side: int, detector_side: int | None) -> Floats:
        asked = {**described, "weight": 1.0}
        asked["classifier"] = {**described["classifier"], "side": classifier_side}
        asked["detector"] = {**described["detector"], "side": detector_side} if detector_side else None
        return inference.expert_logits(loaded, image, asked)[:-1]

    classifier = {side: ask(side, None) for side in sizes(experts.classifier.side)}
    if not experts.detector:
        return {(side, None): odds for side, odds in classifier.items()}
    first = next(iter(classifier))
    detector = {side: ask(first, side) - classifier[first] for side in sizes(experts.detector.side)}
    return {(one, other): classifier[one] + detector[other] for one, other in product(classifier, detector)}


def sizes(side: int) -> tuple[int, ...]:
    """Return the sizes to choose from around a model's, multiples of `STEP`."""
    return tuple(dict.fromkeys(max(STEP, round(scale * side / STEP) * STEP) for scale in SCALES))


def split(truth: Ints, folds: int, seed: int) -> list[metrics.Bools]:
    """Split photos into stratified folds; returns a bool [N] for each, of which each photo is in one."""
    random = np.random.default_rng(seed)
    fold = np.empty(len(truth), dtype=np.int64)
    for label in np.unique(truth):
        where = random.permutation(np.flatnonzero(truth == label))
        fold[where] = np.arange(len(where)) % folds
    return [fold == number for number in range(folds)]


def choose(measured: Measured, part: metrics.Bools, criterion: Criterion, threshold: float) -> Setting:
    """Return the setting that is best on some of the photos by a criterion; the first of equal ones."""
    truth = measured.truth[part]
    return max(
        measured.settings(), key=lambda one: criterion(measured.probabilities(one)[part], truth, threshold)
    )


def _figures(probabilities: Floats, truth: Ints, threshold: float) -> dict[str, Any]:
    known = truth != NEGATIVE
    predictions = Predictions(
        names=(),
        probabilities=probabilities[known],
        labels=truth[known],
        negatives=probabilities[~known],
        negative_names=(),
    )
    bound = ErrorBound.of(predictions.probabilities, predictions.labels, threshold)
    measured = replace(Metrics.of(predictions, threshold), jpeg_accuracy=None)
    return {**asdict(measured), "error_bound": asdict(bound)}
