"""From folders of labelled photos to a model that serves: networks that ship, and a head learned here.

If the labels mean something to the shipped experts, the head corrects them; otherwise it works on the
features of both pretrained classifiers by itself, for photos of every size.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_build.archive.manifest import (
    NETWORK,
    Experts,
    Head,
    Manifest,
    Network,
    TrainingData,
    View,
)
from model_build.archive.package import write_code
from model_build.data.images import is_held_out
from model_build.evaluation.metrics import Floats
from model_build.learning.features import compute
from model_build.learning.head import Choice, Forecast, Learner, forecast
from model_build.learning.meanings import COCO, IMAGENET, confusable, meanings
from model_build.learning.photos import Photos, check_counts
from model_build.serving import inference

HEAD: Final = "head.npz"
TURNED: Final = 0.02  # prior of each of three turns; more would accept turned others
SHOWN_WRONG: Final = 20


@dataclass(frozen=True)
class Learned:
    """What was learned, and how well by nested cross-validation."""

    manifest: Manifest
    photos: Photos
    forecast: Forecast
    choice: Choice

    def wrong(self) -> list[dict[str, Any]]:
        """Return the photos of the labels that heads which had not seen them got wrong, surest first."""
        labels, found = self.photos.labels, self.forecast.probabilities
        rows = [
            {
                "file": name,
                "label": labels[actual],
                "predicted": labels[int(row.argmax())],
                "confidence": float(row.max()),
            }
            for name, actual, row in zip(self.photos.names, self.photos.classes.tolist(), found, strict=True)
            if actual < len(labels) and int(row.argmax()) != actual
        ]
        return sorted(rows, key=lambda row: -float(str(row["confidence"])))

    def as_json(self) -> dict[str, Any]:
        """Return the object that `learn --json` prints."""
        measured = self.forecast
        return {
            "labels": list(self.photos.labels),
            "photos": self.photos.counts(),
            "threshold": self.manifest.default_threshold,
            "accuracy": measured.accuracy.as_json(),
            "coverage": measured.coverage.as_json(),
            "selective_accuracy": measured.selective.as_json(),
            "other_accepted": measured.others.as_json(),
            "accepted_wrong_at_most": measured.error_bound,
            "learning_curve": [{"photos_a_class": each, "accuracy": value} for each, value in measured.curve],
            "penalty": self.choice.penalty,
            "temperature": self.choice.temperature,
            "wrong": self.wrong(),
        }


def learn(photos: Photos, base: Path, output: Path, seed: int) -> Learned:
    """Learn a head and write the model folder.

    Args:
        base: folder of the shipped model, whose networks are used.
        seed: of the copies and of the folds.
    """
    shipped = Manifest.read(base)
    view = photo_view(shipped, photos.labels)
    before = shipped.training_data or TrainingData(sha256={}, images={})
    trained = before.model_copy(update={"photos": tuple(sorted(photos.digests))})
    thumbnails: tuple[View, ...] = ()
    known = photos.labels == shipped.labels  # to the trained network, which answers thumbnails
    if known:
        thumbnails = tuple(one for one in shipped.views if not one.experts and not one.head and one.up_to)
    manifest = shipped.model_copy(
        update={
            "labels": photos.labels,
            "views": (*thumbnails, view),
            "training_data": trained,
            "outputs": shipped.outputs if known else None,
        }
    )
    described = view.model_dump(mode="json", exclude_none=True)
    features = compute(_networks_of(base, manifest), described, photos, seed)
    learner = Learner(features, photos.classes, photos.groups, len(photos.labels))
    measured = forecast(learner, manifest.default_threshold, seed)
    everything = np.ones(len(photos.classes), dtype=bool)
    choice = learner.choose(everything, seed)
    manifest = manifest.model_copy(
        update={
            "views": (*thumbnails, photo_view(shipped, photos.labels, choice.temperature)),
            "metrics": {**((shipped.metrics or {}) if known else {}), "photos": measured.figures()},
        }
    )
    weights, bias = learner.axes.weights(learner.fit(everything, choice.penalty))
    _write(manifest, weights, bias, base, output)
    return Learned(Manifest.read(output), photos, measured, choice)


def _write(manifest: Manifest, weights: Floats, bias: Floats, base: Path, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name in manifest.networks:
        if name != HEAD:
            shutil.copyfile(base / name, output / name)
    np.savez(output / HEAD, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
    manifest.write(output)
    write_code(output)


def kept_for_learning(photos: Photos, hold_out: float) -> Photos:
    """Return the photos but the share whose content keeps them out of every training."""
    kept = photos.part(np.array([not is_held_out(digest, hold_out) for digest in photos.digests]))
    check_counts(kept.labels, kept.counts())
    return kept


def photo_view(shipped: Manifest, labels: Sequence[str], temperature: float = 1.0) -> View:
    """Return the view that answers photos of some labels."""
    template = next(view.experts for view in shipped.views if view.experts)
    classifier = template.classifier
    plain = Network(file=classifier.file, side=classifier.side, normalisation=classifier.normalisation)
    experts = _experts(template, labels)
    if experts:
        return View(
            experts=experts, head=Head(file=HEAD, networks=(plain,), temperature=temperature, turned=TURNED)
        )
    lighter = Network(file=NETWORK, side=classifier.side, normalisation=shipped.normalisation)
    return View(head=Head(file=HEAD, networks=(plain, lighter), temperature=temperature))


def _experts(template: Experts, labels: Sequence[str]) -> Experts | None:
    """Return the experts for some labels: the shipped ones if they know them, or those of known meaning."""
    template = template.model_copy(update={"confusable": confusable(labels)})
    if set(template.classifier.outputs) == set(labels):
        return template
    classes, objects = meanings(labels, IMAGENET), meanings(labels, COCO)
    if classes is None:
        return None
    detector = None
    if objects and template.detector:
        detector = template.detector.model_copy(update={"outputs": objects})
    classifier = template.classifier.model_copy(update={"outputs": classes})
    return template.model_copy(update={"classifier": classifier, "detector": detector})


def _networks_of(folder: Path, manifest: Manifest) -> inference.Model:
    """Load a model's networks without its head, which is not there yet."""
    bare = manifest.model_dump(mode="json", by_alias=True, exclude_none=True)
    networks = [name for name in manifest.networks if name != HEAD]
    return inference.Model(bare, {name: inference.load_network(folder / name) for name in networks})
