"""Measure a model through the very code that serves it.

Accuracy, coverage and calibration are of the labelled images as they are. The figures on other images compare
like with like where JPEG could give them away; what compression does to the labelled images is reported
beside (`jpeg_accuracy`).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_build.artifact.loaded_model import open_model
from model_build.artifact.package import DEFAULT_MODEL
from model_build.data.cifar import load_archives
from model_build.data.download import find_archive
from model_build.errors import ModelBuildError
from model_build.evaluation import metrics
from model_build.evaluation.metrics import Floats
from model_build.evaluation.predictions import OTHER, Answers, answers_for, archive_answers, photo_pictures

WORST_MISTAKES: Final = 10


def report(answers: Answers, threshold: float, target: float | None) -> dict[str, Any]:
    """All figures of one set of pictures, ready for JSON; None is what cannot be said.

    Args:
        answers: what the model said.
        threshold: the confidence from which an answer is accepted.
        target: a wanted selective accuracy to pick a threshold for, if any.
    """
    probabilities, labels = answers.probabilities, answers.labels
    figures: dict[str, Any] = {
        "images": len(labels),
        "accuracy": metrics.accuracy(probabilities, labels),
        "coverage": metrics.accepted_share(probabilities, threshold),
        "selective_accuracy": metrics.selective_accuracy(probabilities, labels, threshold),
        "ece": metrics.expected_calibration_error(probabilities, labels),
        "other_images": len(answers.others),
        "other_accepted": metrics.accepted_share(answers.others, threshold),
        "other_auroc": metrics.auroc(_comparable(answers), metrics.confidences(answers.others)),
        "jpeg_accuracy": None
        if answers.jpeg_probabilities is None
        else metrics.accuracy(answers.jpeg_probabilities, labels),
        "confusion": metrics.confusion(probabilities, labels),
        "unreadable": answers.unreadable,
    }
    if target is not None:
        choice = metrics.threshold_for(probabilities, labels, target)
        figures["target"] = {"wanted": target, "choice": None if choice is None else asdict(choice)}
    return figures


def _comparable(answers: Answers) -> Floats:
    """Confidences on the labelled pictures in the form that the other pictures have."""
    if answers.jpeg_probabilities is None:
        return metrics.confidences(answers.probabilities)
    return metrics.confidences(answers.jpeg_probabilities)


def other_kinds(answers: Answers, threshold: float, outputs: Sequence[str]) -> dict[str, Any]:
    """What becomes of each kind of other image, and of all those kinds that training never saw.

    Args:
        answers: what the model said of archives' test images.
        threshold: the confidence from which an answer is accepted.
        outputs: names of the network's outputs: the kinds that it was trained on.
    """
    kinds = np.array([name.split("/")[0] for name in answers.other_names], dtype=np.str_)
    found = {str(kind): answers.others[kinds == kind] for kind in np.unique(kinds)}
    unseen = [kind for kind in found if kind not in outputs]
    rows = answers.others[np.isin(kinds, unseen)]
    return {
        "other_kinds": {
            kind: {"images": len(part), "accepted": metrics.accepted_share(part, threshold)}
            for kind, part in found.items()
        },
        "other_unseen": {
            "kinds": unseen,
            "images": len(rows),
            "accepted": metrics.accepted_share(rows, threshold),
            "auroc": metrics.auroc(_comparable(answers), metrics.confidences(rows)),
        },
    }


def mistakes(answers: Answers, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The most confident wrong answers, worst first."""
    confidence = metrics.confidences(answers.probabilities)
    wrong = np.flatnonzero(~metrics.right(answers.probabilities, answers.labels))
    worst = sorted(wrong.tolist(), key=lambda index: -confidence[index])[:WORST_MISTAKES]
    return [
        {
            "image": answers.names[index],
            "answer": labels[int(answers.probabilities[index].argmax())],
            "confidence": float(confidence[index]),
        }
        for index in worst
    ]


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        figures: the report, as `--json` prints it.
        archive: the answers on archives' test images, None if no archive was given.
        photos: the answers on photos, None if no folder was given.
        labels: the model's labels.
    """

    figures: dict[str, Any]
    archive: Answers | None
    photos: Answers | None
    labels: tuple[str, ...]


def evaluate(
    model_path: Path,
    data: Sequence[Path],
    photos: Path | None = None,
    threshold: float | None = None,
    target: float | None = None,
) -> Evaluation:
    """Measure a model.

    Args:
        model_path: model folder or model.tar.gz.
        data: archives in CIFAR layout; their test splits are used.
        photos: folder with photos by label.
        threshold: confidence from which an answer is accepted; the model's own by default.
        target: a wanted selective accuracy to pick a threshold for.

    Raises:
        ModelBuildError: the model or the data cannot be read or do not fit together.
    """
    with open_model(model_path) as model:
        threshold = model.manifest.default_threshold if threshold is None else threshold
        archive = archive_answers(model, load_archives(data)) if data else None
        pictures = photo_pictures(model.labels, photos) if photos else None
        shown = answers_for(model, pictures, "photos") if pictures else None
        nothing = answers_for(model, [], "nothing") if archive is None else archive
        figures = report(nothing, threshold, target)
        figures["threshold"] = threshold
        figures["labels"] = list(model.labels)
        figures["mistakes"] = mistakes(nothing, model.labels)
        figures |= other_kinds(nothing, threshold, model.manifest.trained_classes)
        figures["photos"] = None
        if shown:
            figures["photos"] = report(shown, threshold, target)
            figures["photos"]["mistakes"] = mistakes(shown, model.labels)
        return Evaluation(figures, archive, shown, model.labels)


# ------------------------------------------------------------------ the command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `evaluate`."""
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="PATH", help="model folder or model.tar.gz"
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        metavar="ARCHIVE",
        help="CIFAR archives, whose test images are used; CIFAR-100 as found in data/ if no --photos either",
    )
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help=f"photos in DIR/<label>/ and DIR/{OTHER}/, measured apart"
    )
    parser.add_argument(
        "--threshold",
        type=probability,
        metavar="T",
        help="confidence from which an answer is accepted; the model's own by default",
    )
    parser.add_argument(
        "--target",
        type=probability,
        metavar="A",
        help="pick the threshold that accepts most with this share of the accepted right, such as 0.99; "
        "a pick on test images is optimistic",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write evaluation.json and drawings there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def probability(text: str) -> float:
    """A number from 0 to 1.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def run(args: argparse.Namespace) -> int:
    """The command `evaluate`; exit status 1 if a photo could not be read."""
    data = args.data or ([] if args.photos else [find_archive()])
    evaluation = evaluate(args.model, data, args.photos, args.threshold, args.target)
    if args.output:
        write(evaluation, args.output)
    print(json.dumps(evaluation.figures) if args.json else table(evaluation.figures))
    unreadable = [
        message for part in (evaluation.archive, evaluation.photos) if part for message in part.unreadable
    ]
    for message in unreadable:
        print(f"not measured: {message}", file=sys.stderr)
    return 1 if unreadable else 0


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write evaluation.json and, for the archive's and the photos' answers each, three drawings.

    Returns:
        The files written.

    Raises:
        ModelBuildError: the folder cannot be written.
    """
    from model_build.evaluation import charts  # noqa: PLC0415 - needed only when something is drawn

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "evaluation.json"
        file.write_text(json.dumps(evaluation.figures, indent=2) + "\n", encoding="utf-8")
        written = [file]
        threshold = evaluation.figures["threshold"]
        for prefix, answers in (("", evaluation.archive), ("photos_", evaluation.photos)):
            if answers is None or not len(answers.labels):
                continue
            for name, image in charts.draw_answers(answers, evaluation.labels, threshold).items():
                image.save(folder / f"{prefix}{name}.png", optimize=True)
                written.append(folder / f"{prefix}{name}.png")
    except OSError as exc:
        raise ModelBuildError(f"{folder} cannot be written: {exc}") from exc
    return written


ROWS: Final = (
    ("images", "labelled images"),
    ("accuracy", "right of all"),
    ("coverage", "accepted"),
    ("selective_accuracy", "right of the accepted"),
    ("ece", "calibration error (ECE)"),
    ("other_images", "images of something else"),
    ("other_accepted", "accepted of those"),
    ("other_auroc", "AUROC, labelled against else"),
    ("jpeg_accuracy", "right of all as JPEG"),
)


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    columns = [("test images", figures)] + ([("photos", figures["photos"])] if figures["photos"] else [])
    lines = [
        f"{'threshold ' + format(figures['threshold'], '.3g'):30}" + "".join(f"{c:>13}" for c, _ in columns)
    ]
    lines += [f"{text:30}" + "".join(f"{_cell(part[key]):>13}" for _, part in columns) for key, text in ROWS]
    for name, part in columns:
        lines += ["", f"{name}, true class by row:", *_confusion_lines(part["confusion"], figures["labels"])]
        if "target" in part:
            lines += ["", f"{name}, {_target_line(part['target'])}"]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _confusion_lines(rows: list[list[int]], labels: Sequence[str]) -> list[str]:
    width = max(len(label) for label in labels) + 2
    head = " " * width + "".join(f"{label:>{width}}" for label in labels)
    return [head] + [
        f"{label:{width}}" + "".join(f"{count:>{width}}" for count in row)
        for label, row in zip(labels, rows, strict=True)
    ]


def _target_line(target: dict[str, Any]) -> str:
    choice = target["choice"]
    if choice is None:
        return f"for {target['wanted']} right of the accepted: no threshold gives that"
    return (
        f"for {target['wanted']} right of the accepted: threshold {choice['threshold']} "
        f"accepts {choice['coverage']:.3f}, {choice['selective_accuracy']:.3f} right"
    )
