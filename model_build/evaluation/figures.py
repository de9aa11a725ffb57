"""The figures of an evaluation, as `evaluate --json` prints them.

Accuracy, coverage and calibration are of the labelled images as they are. Out-of-distribution rejection
compares images of equal compression history (see `predictions`); `jpeg_accuracy` is the accuracy after
compression.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import numpy as np

from model_build.evaluation import metrics
from model_build.evaluation.metrics import OperatingPoint
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.promise import ErrorBound, Promise, choose_threshold

TITLE: Final = "title"


def _titled(title: str) -> Any:
    """Return a field of `Metrics` with the words that tables use for it."""
    return field(metadata={TITLE: title})


@dataclass(frozen=True)
class Metrics:
    """The figures of one set of images; None is undefined for lack of images.

    Attributes:
        accuracy: share of correct predictions.
        coverage: share of predictions accepted at the threshold.
        selective_accuracy: share of correct ones among the accepted.
        other_accepted: share of the negatives accepted at the threshold.
    """

    images: int = _titled("labelled images")
    accuracy: float | None = _titled("accuracy")
    coverage: float | None = _titled("coverage")
    selective_accuracy: float | None = _titled("selective accuracy")
    ece: float | None = _titled("expected calibration error")
    other_images: int = _titled("out-of-distribution images")
    other_accepted: float | None = _titled("false acceptance rate")
    other_auroc: float | None = _titled("out-of-distribution AUROC")
    jpeg_accuracy: float | None = _titled("accuracy after JPEG compression")

    @classmethod
    def titles(cls) -> dict[str, str]:
        """Return the words for each figure, by its name."""
        return {one.name: one.metadata[TITLE] for one in fields(cls)}

    @classmethod
    def of(cls, predictions: Predictions, threshold: float) -> "Metrics":
        """Compute the figures of predictions."""
        probabilities, labels = predictions.probabilities, predictions.labels
        in_distribution = metrics.confidences(predictions.comparable)
        compressed = predictions.jpeg_probabilities
        return cls(
            images=len(labels),
            accuracy=metrics.accuracy(probabilities, labels),
            coverage=metrics.acceptance_rate(probabilities, threshold),
            selective_accuracy=metrics.selective_accuracy(probabilities, labels, threshold),
            ece=metrics.expected_calibration_error(probabilities, labels),
            other_images=len(predictions.negatives),
            other_accepted=metrics.acceptance_rate(predictions.negatives, threshold),
            other_auroc=metrics.auroc(in_distribution, metrics.confidences(predictions.negatives)),
            jpeg_accuracy=None if compressed is None else metrics.accuracy(compressed, labels),
        )


@dataclass(frozen=True)
class Target:
    """The operating point that reaches a wanted selective accuracy.

    Attributes:
        choice: the point of highest coverage that reaches it; None if no threshold does.
    """

    wanted: float
    choice: OperatingPoint | None


@dataclass(frozen=True)
class Misclassified:
    """A wrong prediction."""

    image: str
    answer: str
    confidence: float


@dataclass(frozen=True)
class SetReport:
    """Everything reported of one set of images.

    Attributes:
        confusion: counts [K][K], rows are true classes, columns predicted ones.
    """

    metrics: Metrics
    confusion: list[list[int]]
    unreadable: tuple[str, ...]
    error_bound: ErrorBound
    target: Target | None
    promise: Promise | None
    mistakes: tuple[Misclassified, ...]
    false_acceptances: tuple[Misclassified, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the report as `evaluate --json` prints it."""
        return {
            **asdict(self.metrics),
            "confusion": self.confusion,
            "unreadable": list(self.unreadable),
            "error_bound": asdict(self.error_bound),
            **({"target": asdict(self.target)} if self.target else {}),
            **({"promise": asdict(self.promise)} if self.promise else {}),
            "mistakes": [asdict(one) for one in self.mistakes],
            "false_acceptances": [asdict(one) for one in self.false_acceptances],
        }


@dataclass(frozen=True)
class NegativeClass:
    """How the negatives of one class fared.

    Attributes:
        accepted: the share that was accepted.
    """

    images: int
    accepted: float | None


@dataclass(frozen=True)
class UnseenClasses:
    """How the negatives of the classes fared that the network has no output for.

    Attributes:
        accepted: the share that was accepted.
    """

    kinds: tuple[str, ...]
    images: int
    accepted: float | None
    auroc: float | None


@dataclass(frozen=True)
class Report:
    """The report of an evaluation.

    Attributes:
        photos: of the photos, None if no folder was given.
    """

    threshold: float
    labels: tuple[str, ...]
    archives: SetReport
    other_kinds: dict[str, NegativeClass]
    other_unseen: UnseenClasses
    photos: SetReport | None

    def to_json(self) -> dict[str, Any]:
        """Return the report as `evaluate --json` prints it."""
        figures = self.archives.to_json()
        errors = {key: figures.pop(key) for key in ("mistakes", "false_acceptances")}
        return {
            **figures,
            "threshold": self.threshold,
            "labels": list(self.labels),
            **errors,
            "other_kinds": {name: asdict(one) for name, one in self.other_kinds.items()},
            "other_unseen": {**asdict(self.other_unseen), "kinds": list(self.other_unseen.kinds)},
            "photos": self.photos.to_json() if self.photos else None,
        }

    def sets(self) -> dict[str, SetReport]:
        """Return the reports that are of any images, by the title of their column."""
        named = {"test images": self.archives, "photos": self.photos}
        return {
            title: one
            for title, one in named.items()
            if one and (one.metrics.images or one.metrics.other_images or one.unreadable)
        }


@dataclass(frozen=True)
class Wishes:
    """What a threshold is to be chosen for.

    Attributes:
        promise: a share of errors among accepted images that is to be proven for others.
    """

    target: float | None = None
    promise: float | None = None


NO_WISHES: Final = Wishes()


def set_report(
    predictions: Predictions,
    labels: Sequence[str],
    threshold: float,
    wishes: Wishes = NO_WISHES,
    most_errors: int | None = None,
) -> SetReport:
    """Report on the predictions for one set of images.

    Args:
        most_errors: how many errors are listed; all by default.
    """
    probabilities, truth = predictions.probabilities, predictions.labels
    wrong = np.flatnonzero(~metrics.correct(probabilities, truth))
    accepted = np.flatnonzero(metrics.confidences(predictions.negatives) >= threshold)
    target, promise = wishes.target, wishes.promise
    wanted = None
    if target is not None:
        wanted = Target(target, metrics.operating_point_for(probabilities, truth, target))
    return SetReport(
        metrics=Metrics.of(predictions, threshold),
        confusion=metrics.confusion_matrix(probabilities, truth),
        unreadable=predictions.unreadable,
        error_bound=ErrorBound.of(probabilities, truth, threshold),
        target=wanted,
        promise=None if promise is None else choose_threshold(probabilities, truth, promise),
        mistakes=_errors(predictions.names, probabilities, wrong, labels)[:most_errors],
        false_acceptances=_errors(predictions.negative_names, predictions.negatives, accepted, labels)[
            :most_errors
        ],
    )


def _errors(
    names: Sequence[str], probabilities: metrics.Floats, rows: metrics.Ints, labels: Sequence[str]
) -> tuple[Misclassified, ...]:
    """Describe some of the predictions, the most confident first."""
    confidence = metrics.confidences(probabilities)
    return tuple(
        Misclassified(names[row], labels[int(probabilities[row].argmax())], float(confidence[row]))
        for row in sorted(rows.tolist(), key=lambda row: -confidence[row])
    )


def negatives_by_class(
    predictions: Predictions, threshold: float, trained: Sequence[str]
) -> tuple[dict[str, NegativeClass], UnseenClasses]:
    """Return how the negatives of each class fared, and those of all classes that training never saw."""
    classes = np.array([name.split("/")[0] for name in predictions.negative_names], dtype=np.str_)
    found = {str(name): predictions.negatives[classes == name] for name in np.unique(classes)}
    by_class = {
        name: NegativeClass(len(rows), metrics.acceptance_rate(rows, threshold))
        for name, rows in found.items()
    }
    unseen = tuple(name for name in found if name not in trained)
    rows = predictions.negatives[np.isin(classes, unseen)]
    in_distribution = metrics.confidences(predictions.comparable)
    return by_class, UnseenClasses(
        kinds=unseen,
        images=len(rows),
        accepted=metrics.acceptance_rate(rows, threshold),
        auroc=metrics.auroc(in_distribution, metrics.confidences(rows)),
    )
