"""The shipped model, measured as its card says: through the code that serves it, on the real archives."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_build.archive.loaded_model import LoadedModel, open_model
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.data.cifar import load_archive
from model_build.data.download import CIFAR_10, CIFAR_100
from model_build.evaluation.report import evaluate
from tests.support import small_wheels
from tests.support.photo_files import encode
from tests.support.real_data import real_data

SMALLEST_ACCURACY = 0.95
LARGEST_ARCHIVE = 16_000_000  # bytes
MOST_SMALL_WHEELS = 0.1  # accepted
DRAWINGS_OF_A_KIND = 12
OF_LABELLED_IMAGES = ("images", "accuracy", "coverage", "selective_accuracy", "ece")
OF_OTHER_IMAGES = ("other_images", "other_accepted", "other_auroc", "jpeg_accuracy")
# Another CPU may round otherwise and turn an answer that hung in the balance: two of 200.
TOLERANCE = 0.01


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return dict(json.loads((DEFAULT_MODEL / "manifest.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def archives() -> list[Path]:
    return [real_data(CIFAR_100), real_data(CIFAR_10)]


@pytest.fixture(scope="module")
def shipped() -> Iterator[LoadedModel]:
    with open_model(DEFAULT_MODEL) as model:
        yield model


@pytest.fixture(scope="module")
def figures(shipped: LoadedModel, archives: list[Path]) -> dict[str, Any]:
    return evaluate(shipped, archives).to_json()


def test_it_is_right_on_the_test_images(figures: dict[str, Any]) -> None:
    assert figures["images"] == 200
    assert figures["accuracy"] >= SMALLEST_ACCURACY


def test_the_manifest_agrees_with_a_fresh_evaluation(
    figures: dict[str, Any], manifest: dict[str, Any], archives: list[Path]
) -> None:
    names = list(OF_LABELLED_IMAGES)
    known = manifest["training_data"]["sha256"]
    if all(known.get(path.name) == load_archive(path).sha256 for path in archives):
        names += OF_OTHER_IMAGES  # larger archives have more other images than the manifest's figures are of
    for name in names:
        assert figures[name] == pytest.approx(manifest["metrics"][name], abs=TOLERANCE), name


def test_the_card_is_of_this_model(manifest: dict[str, Any]) -> None:
    """Fails when the model was replaced without `scones model card`."""
    evaluation = json.loads((DEFAULT_MODEL / "evaluation.json").read_text(encoding="utf-8"))
    for name in (*OF_LABELLED_IMAGES, *OF_OTHER_IMAGES):
        assert evaluation[name] == pytest.approx(manifest["metrics"][name], abs=TOLERANCE), name
    card = (DEFAULT_MODEL.parent / "MODEL_CARD.md").read_text(encoding="utf-8")
    for name, digest in manifest["training_data"]["sha256"].items():
        assert f"`{name}`: SHA-256 `{digest}`" in card
    assert f"{evaluation['accuracy']:.3f} (" in card


def test_its_archive_is_small(tmp_path: Path) -> None:
    assert package_model(DEFAULT_MODEL, tmp_path / "model.tar.gz").stat().st_size < LARGEST_ARCHIVE


def test_it_accepts_few_small_things_on_wheels(
    shipped: LoadedModel, manifest: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """Wheelchairs resemble bicycles most: their share is reported, the average is held."""

    def is_accepted(image: Image.Image) -> bool:
        return bool(shipped.classify(encode(image, "PNG")).max() >= manifest["default_threshold"])

    accepted = {
        kind: np.mean([is_accepted(small_wheels.draw(kind, seed)) for seed in range(DRAWINGS_OF_A_KIND)])
        for kind in small_wheels.KINDS
    }
    for kind, share in accepted.items():
        record_property(f"accepted: {kind}", round(float(share), 3))
    assert len(accepted) >= 10
    assert np.mean(list(accepted.values())) <= MOST_SMALL_WHEELS, accepted
