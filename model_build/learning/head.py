"""The head: multinomial logistic regression on the features of pretrained networks, with an offset.

The offset is the experts' logits (`expert_logits` of serving/inference.py), to which the penalty shrinks; it
is zero where the labels have no meaning for them. scikit-learn's `LogisticRegression` takes no offset.

What a head will do on photos that it has not seen is measured by nested cross-validation: the inner folds
choose the penalty and the temperature, the outer ones measure the whole procedure, and photos of one group
are never on both sides.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from commandline.terminal import progress
from model_build.evaluation import metrics
from model_build.evaluation.metrics import Bools, Floats, Ints
from model_build.evaluation.promise import error_bound
from model_build.learning.features import Features
from model_build.serving.inference import doubted, label_probabilities

STEPS: Final = 300  # of the fit
TOLERANCE: Final = 1e-4  # of the largest change of a weight in a step, features having unit variance
OUTER, INNER = 5, 3  # folds
PENALTIES: Final = (3.0, 12.0, 50.0, 200.0, 800.0, 3200.0)
TEMPERATURES: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0)
# Of labels that the experts know, whose odds are cautious by themselves (`EXPERT_WEIGHT`).
KNOWN_TEMPERATURE: Final = 0.85
SLACK: Final = 0.5  # standard errors of the loss; measured on two sets of 10 and 20 photos a class
CURVE: Final = (0.125, 0.25, 0.5)  # shares of the photos to learn from, beside all
MOST_COMPONENTS: Final = 384  # of the features' variance: nine tenths of it, and a fit ten times as fast
CONFIDENCE: Final = 0.975  # of each end of an interval


def softmax(logits: Floats) -> Floats:
    """Return probabilities [N, K] of logits [N, K]."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = shares / shares.sum(axis=1, keepdims=True)
    return result


def fit(design: Floats, classes: Ints, offset: Floats, weight: Floats, penalty: float) -> Floats:
    """Return the weights [D + 1, K] that minimise the summed log loss and `penalty` / 2 times their squares.

    `design` has scaled features and a column of ones, [N, D + 1], whose weights are not penalised; `offset`
    the logits to start from, [N, K]; `weight` that of each row in the loss, [N]. Each step solves with the
    bound of the Hessian by Böhning (https://doi.org/10.1007/BF00048682), factored once: the loss only falls.
    """
    target = np.eye(offset.shape[1])[classes]
    ridge = np.full(design.shape[1], penalty)
    ridge[-1] = 1e-6
    bound = np.linalg.inv((design * weight[:, None]).T @ design / 2 + np.diag(ridge))
    weights = np.zeros((design.shape[1], offset.shape[1]))
    momentum, previous = 1.0, weights
    for _ in range(STEPS):
        faster = (1 + np.sqrt(1 + 4 * momentum**2)) / 2  # Nesterov's: https://doi.org/10.1137/080716542
        ahead = weights + (momentum - 1) / faster * (weights - previous)
        rest = weight[:, None] * (target - softmax(offset + design @ ahead))
        previous, weights = weights, ahead + bound @ (design.T @ rest - ridge[:, None] * ahead)
        momentum = faster
        if np.abs(weights - previous).max() < TOLERANCE:
            break
    return weights


def log_losses(logits: Floats, classes: Ints) -> Floats:
    """Return the negative log probability of each true class, [N]."""
    shares = softmax(logits)[np.arange(len(classes)), classes]
    losses: Floats = -np.log(np.maximum(shares, 1e-12))
    return losses


class Choice(NamedTuple):
    """Settings that cross-validation chose."""

    penalty: float
    temperature: float


class Learner:
    """Fits heads on parts of N photos, whose first classes are labels; `classes` and `groups` are [N].

    The features [M, D] are replaced by at most `MOST_COMPONENTS` coordinates on their principal axes, which
    have unit variance on average.
    """

    def __init__(self, features: Features, classes: Ints, groups: Ints, labels: int) -> None:
        self.centre = features.rows.mean(axis=0)
        rows = features.rows - self.centre
        _, values, axes = np.linalg.svd(rows, full_matrices=False)
        kept = min(MOST_COMPONENTS, int((values > values[0] * 1e-6).sum()))
        self.axes = axes[:kept].T / (float(rows.std(axis=0).mean()) or 1.0)  # [D, R]
        self.design = np.concatenate([rows @ self.axes, np.ones((len(rows), 1))], axis=1)
        self.offset, self.photo, self.confused = features.offset, features.photo, features.confused
        self.classes, self.groups, self.labels = classes, groups, labels
        known = bool(features.offset.any())
        # A few surprising photos would choose one that takes coverage from all others.
        self.temperatures = (KNOWN_TEMPERATURE,) if known else TEMPERATURES
        self.slack = 0.0 if known else SLACK
        self.weight = 1 / np.bincount(self.photo)[self.photo]  # a photo counts once, whatever its copies

    def fit(self, chosen: Bools, penalty: float) -> Floats:
        """Return the weights [R + 1, outputs] learned from some photos, bool [N].

        Without photos of none of the labels, what the experts say of "none of them" stays as it is.
        """
        rows, width = chosen[self.photo], self.offset.shape[1]
        outputs = max(self.labels, int(self.classes.max()) + 1)
        offset = self.offset[rows][:, :outputs]
        classes = self.classes[self.photo[rows]]
        weights = fit(self.design[rows], classes, offset, self.weight[rows], penalty)
        return np.pad(weights, ((0, 0), (0, width - outputs)))

    def logits(self, weights: Floats) -> Floats:
        """Return the logits of all photos, [N, K]."""
        count = len(self.classes)
        result: Floats = self.offset[:count] + self.design[:count] @ weights
        return result

    def folds(self, chosen: Bools, folds: int, seed: int) -> Ints:
        """Return a fold for each photo: whole groups, each class spread evenly."""
        where = np.zeros(len(self.classes), dtype=np.int64)
        shuffled = np.random.default_rng(seed).permutation(np.unique(self.groups[chosen]))
        first = {group: self.classes[self.groups == group][0] for group in shuffled.tolist()}
        order = sorted(shuffled.tolist(), key=lambda group: first[group])
        for number, group in enumerate(order):
            where[self.groups == group] = number % folds
        return where

    def choose(self, chosen: Bools, seed: int) -> Choice:
        """Choose penalty and temperature by cross-validation inside some photos.

        Few photos rank penalties by chance: without experts, the heaviest of about the least loss is taken.
        """
        where, found = self.folds(chosen, INNER, seed), list[tuple[Choice, Floats]]()
        for penalty in PENALTIES:
            logits = np.zeros((len(self.classes), self.offset.shape[1]))
            for number in range(INNER):
                held = chosen & (where == number)
                logits[held] = self.logits(self.fit(chosen & (where != number), penalty))[held]
            scaled = [log_losses(logits[chosen] / one, self.classes[chosen]) for one in self.temperatures]
            best = int(np.argmin([losses.mean() for losses in scaled]))
            found.append((Choice(penalty, self.temperatures[best]), scaled[best]))
        least = min((losses for _, losses in found), key=lambda losses: float(losses.mean()))
        allowed = least.mean() + self.slack * least.std() / np.sqrt(len(least))
        return next(choice for choice, losses in reversed(found) if losses.mean() <= allowed)


@dataclass(frozen=True)
class Share:
    """A share of photos with its exact 95 % interval (Clopper and Pearson)."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """The share; None of no photos."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound."""
        if not self.of:
            return 0.0, 1.0
        low = 1 - error_bound(self.of - self.count, self.of, CONFIDENCE)
        return low, error_bound(self.count, self.of, CONFIDENCE)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `learn --json` prints."""
        return {"value": self.value, "interval": list(self.interval), "count": self.count, "of": self.of}


@dataclass(frozen=True)
class Forecast:
    """What nested cross-validation measured."""

    probabilities: Floats  # of N photos by heads that have not seen them, [N, labels]
    accuracy: Share  # of photos of the labels
    coverage: Share  # of photos of the labels, accepted
    selective: Share  # of the accepted ones, right
    others: Share  # of photos of none of the labels, accepted
    curve: tuple[tuple[int, float], ...]  # photos a class learned from (the mean), with the accuracy

    @property
    def error_bound(self) -> float:
        """How many of the accepted are wrong at most, with 95 % confidence."""
        return error_bound(self.selective.of - self.selective.count, self.selective.of)

    def figures(self) -> dict[str, float | None]:
        """Return the figures that the manifest keeps, named as `evaluate --json` names them."""
        shares = {"accuracy": self.accuracy, "coverage": self.coverage, "selective_accuracy": self.selective}
        return {"images": self.accuracy.of, **{name: share.value for name, share in shares.items()}}


def forecast(learner: Learner, threshold: float, seed: int) -> Forecast:
    """Measure by nested cross-validation what `Learner` makes of photos that it has not seen."""
    where = learner.folds(np.ones(len(learner.classes), dtype=bool), OUTER, seed)
    logits = np.zeros((len(CURVE) + 1, len(learner.classes), learner.offset.shape[1]))
    for number in progress(range(OUTER), total=OUTER, title="cross-validating", unit="fold"):
        held, rest = where == number, where != number
        choice = learner.choose(rest, seed)
        # Shares of the photos: whole groups of each class.
        parts = [rest & (learner.folds(rest, max(2, round(1 / one)), seed + 1) == 0) for one in CURVE]
        for place, part in enumerate([*parts, rest]):
            fitted = learner.fit(part, choice.penalty)
            logits[place, held] = learner.logits(fitted)[held] / choice.temperature
    labelled = learner.classes < learner.labels
    answers = [label_probabilities(doubted(one, learner.confused), learner.labels) for one in logits]
    accuracies = [metrics.accuracy(one[labelled], learner.classes[labelled]) for one in answers]
    probabilities = answers[-1]
    right = metrics.correct(probabilities, learner.classes) & labelled
    accepted = metrics.confidences(probabilities) >= threshold
    total, covered = int(labelled.sum()), int((accepted & labelled).sum())
    each = total * (OUTER - 1) / OUTER / learner.labels
    return Forecast(
        probabilities=probabilities,
        accuracy=Share(int(right.sum()), total),
        coverage=Share(covered, total),
        selective=Share(int((accepted & right).sum()), covered),
        others=Share(int((accepted & ~labelled).sum()), int((~labelled).sum())),
        curve=tuple(
            (round(each * share), float(value or 0))
            for share, value in zip((*CURVE, 1.0), accuracies, strict=True)
        ),
    )
