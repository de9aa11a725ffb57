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

    def to_json(self) -> dict[str, Any]:
        """Return the report as `evaluate --json` prints it."""
        document = asdict(self)
        document = {**document.pop("metrics"), **document}
        for name in ("target", "promise"):
            if document[name] is None:
                del document[name]
        return document

    def sentences(self) -> list[str]:
        """Return the error bound and the chosen thresholds in words."""
        chosen = [one for one in (self.promise, self.target) if one and self.metrics.images]
        return [one.sentence() for one in ([self.error_bound] if self.error_bound.images else []) + chosen]


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


@dataclass(frozen=True)
class Evaluation:
    """A report, and the predictions that it is of; None of what was not given."""

    report: Report
    archives: Predictions | None
    photos: Predictions | None


def evaluate(
    model: LoadedModel,
    data: Sequence[Path],
    photos: Sequence[Path] = (),
    threshold: float | None = None,
    targets: Targets = NO_TARGETS,
) -> Evaluation:
    """Evaluate a model on the test splits of CIFAR archives, and on folders of photos as one set.

    A prediction is accepted from the threshold on; the model's own by default.
    """
    threshold = model.manifest.default_threshold if threshold is None else threshold
    archives = classify_archives(model, [load_archive(path) for path in data]) if data else None
    shown = classify_photos(model, photos) if photos else None
    measured = archives or classify(model, [], "test images")
    kinds, unseen = negatives_by_class(measured, threshold, model.manifest.trained_classes)
    report = Report(
        threshold=threshold,
        labels=model.labels,
        archives=set_report(measured, model.labels, threshold, targets, MOST_ERRORS),
        other_kinds=kinds,
        other_unseen=unseen,
        photos=set_report(shown, model.labels, threshold, targets) if shown else None,
    )
    return Evaluation(report, archives, shown)


def set_report(
    predictions: Predictions,
    labels: Sequence[str],
    threshold: float,
    targets: Targets = NO_TARGETS,
    most_errors: int | None = None,
) -> SetReport:
    """Report on the predictions for one set of images; all errors are listed by default."""
    probabilities, truth = predictions.probabilities, predictions.labels
    promise = None
    if targets.promise is not None:
        promise = choose_threshold(probabilities, truth, targets.promise)
    wrong = np.flatnonzero(~metrics.correct(probabilities, truth))
    accepted = np.flatnonzero(metrics.confidences(predictions.negatives) >= threshold)
    target = None
    if targets.target is not None:
        target = Target(targets.target, metrics.operating_point_for(probabilities, truth, targets.target))
    negatives = _errors(predictions.negative_names, predictions.negatives, accepted, labels)
    return SetReport(
        metrics=Metrics.of(predictions, threshold),
        confusion=metrics.confusion_matrix(probabilities, truth),
        unreadable=predictions.unreadable,
        error_bound=ErrorBound.of(probabilities, truth, threshold),
        target=target,
        promise=promise,
        mistakes=_errors(predictions.names, probabilities, wrong, labels)[:most_errors],
        false_acceptances=negatives[:most_errors],
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
    """Return how the negatives of each class fared, and those of all classes that training never saw.

    The names of archives' test images begin with their class; `trained` are the network's outputs.
    """
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
        lines += _details(title, one, report.labels)
    return "\n".join(lines)


def _details(title: str, one: SetReport, labels: Sequence[str]) -> list[str]:
    lines = []
    if one.metrics.images:
        width = max(map(len, labels)) + 2
        lines += ["", f"confusion matrix, {title} (rows: true class):"]
        lines += [" " * width + "".join(f"{label:>{width}}" for label in labels)]
        for label, row in zip(labels, one.confusion, strict=True):
            lines.append(f"{label:{width}}" + "".join(f"{count:>{width}}" for count in row))
    for sentence in one.sentences():
        lines += ["", f"{title}: {sentence}"]
    for head, errors in (
        (f"misclassified {title}, the most confident first:", one.mistakes),
        (f"falsely accepted {title}:", one.false_acceptances),
    ):
        if errors:
            lines += ["", head, *(f"  {bad.image}: {bad.answer} ({bad.confidence:.3f})" for bad in errors)]
    return lines


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write evaluation.json, and three charts each for the archives' test images and the photos."""
    from model_build.evaluation import charts  # noqa: PLC0415 - imports matplotlib, which is slow

    report = evaluation.report
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / FILE_NAME]
        written[0].write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        shown = (("", "test images", evaluation.archives), ("photos_", "photos", evaluation.photos))
        for prefix, images, predictions in shown:
            if predictions is None or not len(predictions.labels):
                continue
            drawn = charts.evaluation_charts(predictions, report.labels, report.threshold, images)
            for name, figure in drawn.items():
                written.append(folder / f"{prefix}{name}.png")
                charts.write_png(figure, written[-1])
    except OSError as error:
        raise ModelBuildError(f"{folder} cannot be written: {error}") from error
    return written
