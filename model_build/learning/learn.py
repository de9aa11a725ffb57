"""From folders of labelled photos to a model that serves: networks that ship, and a head learned here.

If the labels mean something to the shipped experts, the head corrects them; otherwise it works on the
features of both pretrained classifiers by itself, for photos of every size. `meanings.json` says what labels
mean, those of CIFAR-100 and CIFAR-10; add one of your own by hand, with the numbers of its outputs.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from model_build.archive.manifest import NETWORK, Experts, Head, Manifest, Network, TrainingData, View
from model_build.archive.package import write_code
from model_build.learning.features import compute
from model_build.learning.head import Choice, Forecast, Learner, forecast
from model_build.learning.photos import Photos
from model_build.serving import inference

MEANINGS: Final = Path(__file__).with_name("meanings.json")
IMAGENET: Final = "classes"  # of ImageNet-1k, 0 to 999
COCO: Final = "objects"  # 1 to 90
# Classes of ImageNet that move on a few wheels as well: barrow, go-kart, golfcart, horse cart, jinrikisha,
# lawn mower, oxcart, shopping cart, stretcher, tricycle, unicycle. Without them kick scooters and wheelchairs
# pass for bicycles and motorcycles, of which the classifier finds a little in them.
WHEELED: Final = (428, 573, 575, 603, 612, 621, 690, 791, 830, 870, 880)
CYCLES: Final = {"bicycle", "motorcycle"}
HEAD: Final = "head.npz"
TURNED: Final = 0.02  # prior of each of three turns; more would accept turned others
SHOWN_WRONG: Final = 20


def meanings(labels: Sequence[str], kind: str) -> dict[str, tuple[int, ...]] | None:
    """Return the indices of a pretrained network's outputs by label; None if a label has no such meaning."""
    known: dict[str, dict[str, Any]] = json.loads(MEANINGS.read_text(encoding="utf-8"))["labels"]
    found = {label: tuple(int(number) for number in known.get(label, {}).get(kind, {})) for label in labels}
    return found if all(found.values()) else None


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
        best, confidences = found.argmax(axis=1).tolist(), found.max(axis=1).tolist()
        rows = zip(self.photos.names, self.photos.classes.tolist(), best, confidences, strict=True)
        return [
            {"file": name, "label": labels[actual], "predicted": labels[predicted], "confidence": confidence}
            for name, actual, predicted, confidence in sorted(rows, key=lambda row: -row[3])
            if actual < len(labels) and predicted != actual
        ]

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
    """Learn a head on the networks of the shipped model in `base`, and write the model folder."""
    shipped = Manifest.read(base)
    view = photo_view(shipped, photos.labels)
    before = shipped.training_data or TrainingData(sha256={}, images={})
    known = photos.labels == shipped.labels  # to the trained network, which answers thumbnails
    views = [one for one in shipped.views if known and one.up_to and not one.experts and not one.head]
    manifest = shipped.model_copy(
        update={
            "labels": photos.labels,
            "views": (*views, view),
            "training_data": before.model_copy(update={"photos": tuple(sorted(photos.digests))}),
            "outputs": shipped.outputs if known else None,
        }
    )
    networks = [name for name in manifest.networks if name != HEAD]
    model = inference.Model(
        manifest.model_dump(mode="json", by_alias=True, exclude_none=True),
        {name: inference.load_network(base / name) for name in networks},
    )
    features = compute(model, view.model_dump(mode="json", exclude_none=True), photos, seed)
    learner = Learner(features, photos.classes, photos.groups, len(photos.labels))
    measured = forecast(learner, manifest.default_threshold, seed)
    everything = np.ones(len(photos.classes), dtype=bool)
    choice = learner.choose(everything, seed)
    fitted = learner.fit(everything, choice.penalty)
    weights = learner.axes @ fitted[:-1]  # of the features themselves
    bias = fitted[-1] - learner.centre @ weights
    manifest = manifest.model_copy(
        update={
            "views": (*views, photo_view(shipped, photos.labels, choice.temperature)),
            "metrics": {**((shipped.metrics or {}) if known else {}), "photos": measured.figures()},
        }
    )
    output.mkdir(parents=True, exist_ok=True)
    for name in networks:
        shutil.copyfile(base / name, output / name)
    np.savez(output / HEAD, weights=weights.astype(np.float32), bias=bias.astype(np.float32))
    manifest.write(output)
    write_code(output)
    return Learned(Manifest.read(output), photos, measured, choice)


def photo_view(shipped: Manifest, labels: Sequence[str], temperature: float = 1.0) -> View:
    """Return the view that answers photos of some labels, with experts if they know these."""
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
    confusable = WHEELED if CYCLES.intersection(labels) else None
    if set(template.classifier.outputs) == set(labels):
        return template.model_copy(update={"confusable": confusable})
    classes, objects = meanings(labels, IMAGENET), meanings(labels, COCO)
    if classes is None:
        return None
    detector = None
    if objects and template.detector:
        detector = template.detector.model_copy(update={"outputs": objects})
    classifier = template.classifier.model_copy(update={"outputs": classes})
    return template.model_copy(
        update={"confusable": confusable, "classifier": classifier, "detector": detector}
    )
