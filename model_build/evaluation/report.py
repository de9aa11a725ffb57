"""Evaluate a model with the code that serves it, and write the result to files."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_build.artifact.loaded_model import LoadedModel
from model_build.data.cifar import load_archives
from model_build.errors import ModelBuildError
from model_build.evaluation.figures import NO_WISHES, Report, Wishes, negatives_by_class, set_report
from model_build.evaluation.predictions import Predictions, classify, classify_archives, classify_photos

FILE_NAME: Final = "evaluation.json"
MOST_ERRORS: Final = 10  # listed of the archives' test images; of photos, all are


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        archives: predictions for the archives' test images, None if no archive was given.
        photos: predictions for the photos, None if no folder was given.
    """

    report: Report
    archives: Predictions | None
    photos: Predictions | None


def evaluate(
    model: LoadedModel,
    data: Sequence[Path],
    photos: Sequence[Path] = (),
    threshold: float | None = None,
    wishes: Wishes = NO_WISHES,
) -> Evaluation:
    """Evaluate a model.

    Args:
        threshold: confidence from which a prediction is accepted; the model's default if None.

    Raises:
        ModelBuildError: the data cannot be read or do not match the model.
    """
    threshold = model.manifest.default_threshold if threshold is None else threshold
    archives = classify_archives(model, load_archives(data)) if data else None
    shown = classify_photos(model, photos) if photos else None
    measured = archives or classify(model, [], "test images")
    kinds, unseen = negatives_by_class(measured, threshold, model.manifest.trained_classes)
    report = Report(
        threshold=threshold,
        labels=model.labels,
        archives=set_report(measured, model.labels, threshold, wishes, MOST_ERRORS),
        other_kinds=kinds,
        other_unseen=unseen,
        photos=set_report(shown, model.labels, threshold, wishes) if shown else None,
    )
    return Evaluation(report, archives, shown)


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write evaluation.json, and three charts for the archives' test images and the photos each.

    Raises:
        ModelBuildError: the folder cannot be written.
    """
    from model_build.evaluation import charts  # noqa: PLC0415 - imports matplotlib, which is slow

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / FILE_NAME
        file.write_text(json.dumps(evaluation.report.to_json(), indent=2) + "\n", encoding="utf-8")
        written = [file]
        shown = (("", "test images", evaluation.archives), ("photos_", "photos", evaluation.photos))
        for prefix, images, predictions in shown:
            if predictions is None or not len(predictions.labels):
                continue
            report = evaluation.report
            drawn = charts.evaluation_charts(predictions, report.labels, report.threshold, images)
            for name, figure in drawn.items():
                charts.write_png(figure, folder / f"{prefix}{name}.png")
                written.append(folder / f"{prefix}{name}.png")
    except OSError as error:
        raise ModelBuildError(f"{folder} cannot be written: {error}") from error
    return written
