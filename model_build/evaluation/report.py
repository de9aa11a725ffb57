"""The report of an evaluation: its figures as `evaluate --json` prints them, as text, and as files.

Accuracy, coverage and calibration are of the labelled images as they are. Out-of-distribution rejection
compares images of equal compression history (see `predictions`); `jpeg_accuracy` is the accuracy after
compression. A figure that is undefined for lack of images is None.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_build.archive.loaded_model import LoadedModel
from model_build.data.cifar import load_archive
from model_build.errors import ModelBuildError
from model_build.evaluation import metrics
from model_build.evaluation.metrics import OperatingPoint
from model_build.evaluation.predictions import Predictions, classify, classify_archives, classify_photos
from model_build.evaluation.promise import ErrorBound, Promise, choose_threshold

FILE_NAME: Final = "evaluation.json"
MOST_ERRORS: Final = 10  # listed of the archives' test images; of photos, all are
TITLES: Final = {
    "images": "labelled images",
    "accuracy": "accuracy",
    "coverage": "coverage",
    "selective_accuracy": "selective accuracy",
    "ece": "expected calibration error",
    "other_images": "out-of-distribution images",
    "other_accepted": "false acceptance rate",
    "other_auroc": "out-of-distribution AUROC",
    "jpeg_accuracy": "accuracy after JPEG compression",
}


@dataclass(frozen=True)
class Metrics:
    """The figures of one set of images, named as in `TITLES`."""

    images: int
    accuracy: float | None  # share of correct predictions
    coverage: float | None  # share of predictions accepted at the threshold
    selective_accuracy: float | None  # share of correct ones among the accepted
    ece: float | None
    other_images: int
    other_accepted: float | None  # share of the negatives accepted at the threshold
    other_auroc: float | None  # of the confidence, labelled images against negatives
    jpeg_accuracy: float | None

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
class Targets:
    """What a threshold is chosen for: a selective accuracy, or a share of errors proven for other images."""

    target: float | None = None
    promise: float | None = None


NO_TARGETS: Final = Targets()


@dataclass(frozen=True)
class Target:
    """The operating point of highest coverage that reaches a selective accuracy; None if none does."""

    wanted: float
    choice: OperatingPoint | None

    def sentence(self) -> str:
        """Return which operating point reaches the selective accuracy."""
        if self.choice is None:
            return f"no threshold reaches a selective accuracy of {self.wanted:g}"
        return (
            f"threshold {self.choice.threshold:.4f} reaches a selective accuracy of "
            f"{self.choice.selective_accuracy:.3f} (target {self.wanted:g}) at a coverage of "
            f"{self.choice.coverage:.3f}"
        )


@dataclass(frozen=True)
class Misclassified:
    """A wrong prediction: the image's name, the predicted label and its probability."""

    image: str
    answer: str
    confidence: float


@dataclass(frozen=True)
class SetReport:
    """Everything reported of one set of images."""

    metrics: Metrics
    confusion: list[list[int]]  # counts [K][K], rows are true classes
    unreadable: tuple[str, ...]  # a message per picture
    error_bound: ErrorBound
    target: Target | None
    promise: Promise | None
    mistakes: tuple[Misclassified, ...]  # the most confident first
    false_acceptances: tuple[Misclassified, ...]  # negatives, the most confident first
    predictions: Predictions  # that all of this is of; not printed

    def to_json(self) -> dict[str, Any]:
        """Return the report as `evaluate --json` prints it."""
        document = asdict(self)
        left_out = {"metrics", "predictions", *(name for name in ("target", "promise") if not document[name])}
        return {
            **document["metrics"],
            **{name: value for name, value in document.items() if name not in left_out},
        }

    def sentences(self) -> list[str]:
        """Return the error bound and the chosen thresholds in words."""
        found: list[ErrorBound | Promise | Target | None] = [self.promise, self.target]
        if self.error_bound.images:
            found.insert(0, self.error_bound)
        return [one.sentence() for one in found if one and self.metrics.images]


@dataclass(frozen=True)
class NegativeClass:
    """How many negatives of one class there are, and the share that was accepted."""

    images: int
    accepted: float | None


@dataclass(frozen=True)
class UnseenClasses:
    """The negatives of the classes that the network has no output for."""

    kinds: tuple[str, ...]
    images: int
    accepted: float | None
    auroc: float | None  # of the confidence, labelled images against these


@dataclass(frozen=True)
class Report:
    """The report of an evaluation; `archives` is of no images if no archive was given."""

    threshold: float
    labels: tuple[str, ...]
    archives: SetReport
    other_kinds: dict[str, NegativeClass]  # of the negatives in the archives, by class
    other_unseen: UnseenClasses
    photos: SetReport | None

    def to_json(self) -> dict[str, Any]:
        """Return the report as `evaluate --json` prints it."""
        document = asdict(self)
        del document["archives"]
        photos = self.photos.to_json() if self.photos else None
        return {**self.archives.to_json(), **document, "photos": photos}

    def sets(self) -> dict[str, SetReport]:
        """Return the reports that are of any images, by the title of their column."""
        named = {"test images": self.archives, "photos": self.photos}
        return {
            title: one
            for title, one in named.items()
            if one and (one.metrics.images or one.metrics.other_images or one.unreadable)
        }


def evaluate(
    model: LoadedModel,
    data: Sequence[Path],
    photos: Sequence[Path] = (),
    threshold: float | None = None,
    targets: Targets = NO_TARGETS,
) -> Report:
    """Evaluate a model on the test splits of CIFAR archives, and on folders of photos as one set."""
    threshold = model.manifest.default_threshold if threshold is None else threshold
    archives = [load_archive(path) for path in data]
    tested = classify_archives(model, archives) if data else classify(model, [], "test images")
    shown = classify_photos(model, photos) if photos else None
    kinds, unseen = negatives_by_class(tested, threshold, model.manifest.trained_classes)
    return Report(
        threshold=threshold,
        labels=model.labels,
        archives=set_report(tested, model.labels, threshold, targets, MOST_ERRORS),
        other_kinds=kinds,
        other_unseen=unseen,
        photos=set_report(shown, model.labels, threshold, targets) if shown else None,
    )


def set_report(
    predictions: Predictions,
    labels: Sequence[str],
    threshold: float,
    targets: Targets = NO_TARGETS,
    most_errors: int | None = None,
) -> SetReport:
    """Report on the predictions for one set of images; all errors are listed by default."""
    probabilities, truth = predictions.probabilities, predictions.labels
    target, promise, negatives = targets.target, targets.promise, predictions.negatives
    best = None if target is None else metrics.operating_point_for(probabilities, truth, target)

    def errors(
        names: Sequence[str], rows: metrics.Floats, chosen: metrics.Bools
    ) -> tuple[Misclassified, ...]:
        confidence = metrics.confidences(rows)
        order = sorted(np.flatnonzero(chosen).tolist(), key=lambda row: -confidence[row])
        return tuple(
            Misclassified(names[row], labels[int(rows[row].argmax())], float(confidence[row]))
            for row in order[:most_errors]
        )

    accepted = metrics.confidences(negatives) >= threshold
    return SetReport(
        metrics=Metrics.of(predictions, threshold),
        confusion=metrics.confusion_matrix(probabilities, truth),
        unreadable=predictions.unreadable,
        error_bound=ErrorBound.of(probabilities, truth, threshold),
        target=None if target is None else Target(target, best),
        promise=None if promise is None else choose_threshold(probabilities, truth, promise),
        mistakes=errors(predictions.names, probabilities, ~metrics.correct(probabilities, truth)),
        false_acceptances=errors(predictions.negative_names, negatives, accepted),
        predictions=predictions,
    )


def negatives_by_class(
    predictions: Predictions, threshold: float, trained: Sequence[str]
) -> tuple[dict[str, NegativeClass], UnseenClasses]:
    """Return how the negatives of each class fared, and those of all classes that training never saw.

    The names of archives' test images begin with their class; `trained` are the network's outputs.
    """
    classes = np.array([name.split("/")[0] for name in predictions.negative_names], dtype=np.str_)
    found = {str(name): predictions.negatives[classes == name] for name in np.unique(classes)}
    by_class = {
        name: NegativeClass(len(rows), metrics.acceptance_rate(rows, threshold))
        for name, rows in found.items()
    }
    kinds = tuple(name for name in found if name not in trained)
    unseen = predictions.negatives[np.isin(classes, kinds)]
    auroc = metrics.auroc(metrics.confidences(predictions.comparable), metrics.confidences(unseen))
    return by_class, UnseenClasses(kinds, len(unseen), metrics.acceptance_rate(unseen, threshold), auroc)


# ---------------------------------------------------------------------------- as text and as files


def cell(value: float | str | None) -> str:
    """Return a proportion with three digits, a count or a text as it is."""
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def table(report: Report) -> str:
    """Return the report as text: a column per set of images, then confusion matrices and errors."""
    sets = report.sets()
    head = f"threshold {report.threshold:.3g}"
    lines = [f"{head:40}" + "".join(f"{title:>13}" for title in sets)]
    for name, title in TITLES.items():
        cells = [getattr(one.metrics, name) for one in sets.values()]
        if any(one is not None and not (one == 0 and isinstance(one, int)) for one in cells):
            lines.append(f"{title:40}" + "".join(f"{cell(one):>13}" for one in cells))
    for title, one in sets.items():
        if one.metrics.images:
            width = max(map(len, report.labels)) + 2
            lines += ["", f"confusion matrix, {title} (rows: true class):"]
            lines.append(" " * width + "".join(f"{label:>{width}}" for label in report.labels))
            for label, row in zip(report.labels, one.confusion, strict=True):
                lines.append(f"{label:{width}}" + "".join(f"{count:>{width}}" for count in row))
        for sentence in one.sentences():
            lines += ["", f"{title}: {sentence}"]
        for heading, errors in (
            (f"misclassified {title}, the most confident first:", one.mistakes),
            (f"falsely accepted {title}:", one.false_acceptances),
        ):
            if errors:
                lines += ["", heading]
                lines += [f"  {bad.image}: {bad.answer} ({bad.confidence:.3f})" for bad in errors]
    return "\n".join(lines)


def write(report: Report, folder: Path) -> list[Path]:
    """Write evaluation.json, and three charts each for the archives' test images and the photos."""
    from model_build.evaluation import charts  # noqa: PLC0415 - imports matplotlib, which is slow

    written = [folder / FILE_NAME]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written[0].write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        for prefix, title, one in (
            ("", "test images", report.archives),
            ("photos_", "photos", report.photos),
        ):
            if one is None or not one.metrics.images:
                continue
            drawn = {
                "confusion": charts.confusion_matrix(one.confusion, report.labels, title),
                "reliability": charts.reliability_diagram(one.predictions, title),
                "risk_coverage": charts.risk_coverage_curve(one.predictions, report.threshold, title),
            }
            for name, figure in drawn.items():
                written.append(folder / f"{prefix}{name}.png")
                charts.write_png(figure, written[-1])
    except OSError as error:
        raise ModelBuildError(f"{folder} cannot be written: {error}") from error
    return written
