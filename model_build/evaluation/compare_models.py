"""Run two models on a folder of labelled photos and compare them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from commandline.terminal import progress
from model_build.artifact.loaded_model import LoadedModel, UnreadableImageError
from model_build.data.hold_out import photo_digest
from model_build.errors import UsageError
from model_build.evaluation.comparison import Comparison, Judged, compare
from model_build.evaluation.predictions import find_photos


@dataclass(frozen=True)
class PhotoComparison:
    """A comparison, and what was not compared."""

    comparison: Comparison
    trained_on: int
    unreadable: tuple[str, ...]


def compare_models(
    new: LoadedModel,
    serving: LoadedModel,
    folder: Path,
    *,
    coverage: float | None = None,
    threshold: float | None = None,
) -> PhotoComparison:
    """Compare a new model with the serving one on the photos in `folder/<label>/` and `folder/other/`.

    Photos are read one at a time: a folder may be larger than memory.

    Args:
        coverage: share of the photos that the serving model accepts in production, above 0 and up to 1; None
            if the photos were drawn at random.
        threshold: the confidence from which both accept a prediction; each model's own by default.

    Raises:
        UsageError: the models have different labels, or there are no photos that neither was trained on.
    """
    if set(new.labels) != set(serving.labels):
        raise UsageError(
            f"{new.name} tells {', '.join(new.labels)} apart, {serving.name} {', '.join(serving.labels)}: "
            "only models of the same labels can be compared"
        )
    trained = {*_trained_photos(new), *_trained_photos(serving)}
    files = find_photos(new.labels, folder)
    verdicts: list[tuple[tuple[bool, bool], tuple[bool, bool], bool, str]] = []
    left_out, unreadable = 0, list[str]()
    for path, label in progress(files, total=len(files), title="photos", unit="photo"):
        body = path.read_bytes()
        digest = photo_digest(body)
        if digest in trained:
            left_out += 1
            continue
        try:
            judged = [_judge(model, body, label, threshold) for model in (new, serving)]
        except UnreadableImageError as error:
            unreadable.append(f"{path}: {error}")
            continue
        verdicts.append((judged[0], judged[1], label is not None, digest))
    if not verdicts:
        raise UsageError(_nothing_left(folder, left_out))
    comparison = compare(
        _columns([one for one, _, _, _ in verdicts]),
        _columns([one for _, one, _, _ in verdicts]),
        of_a_class=np.array([one for _, _, one, _ in verdicts], dtype=np.bool_),
        digests=[digest for _, _, _, digest in verdicts],
        coverage=coverage,
    )
    return PhotoComparison(comparison, left_out, tuple(unreadable))


def _trained_photos(model: LoadedModel) -> tuple[str, ...]:
    data = model.manifest.training_data
    return () if data is None or data.photos is None else data.photos


def _judge(model: LoadedModel, body: bytes, label: str | None, threshold: float | None) -> tuple[bool, bool]:
    """Return whether the model is right about a photo, and whether it accepts its prediction."""
    probabilities = model.classify(body)
    least = model.manifest.default_threshold if threshold is None else threshold
    accepted = bool(probabilities.max() >= least)
    if label is None:
        return not accepted, accepted
    return model.labels[int(probabilities.argmax())] == label, accepted


def _columns(rows: Sequence[tuple[bool, bool]]) -> Judged:
    table = np.array(rows, dtype=np.bool_).reshape(-1, 2)
    return Judged(right=table[:, 0], accepted=table[:, 1])


def _nothing_left(folder: Path, trained_on: int) -> str:
    if trained_on:
        return (
            f"--photos {folder}: all {trained_on:,} photos were trained on; train with --hold-out 0.25, or "
            "give photos that neither model has seen"
        )
    return f"--photos {folder}: no photo could be read"
