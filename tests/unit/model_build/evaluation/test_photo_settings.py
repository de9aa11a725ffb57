"""Nested cross-validation of the settings for photos, on tiny models whose classes are colours."""

import json
from pathlib import Path

import numpy as np
import pytest

from model_build.errors import UsageError
from model_build.evaluation.photo_settings import (
    CRITERIA,
    NEGATIVE,
    Measured,
    choose,
    nested_cross_validation,
    sizes,
    split,
)
from tests.support.tiny_model import picture, write_experts, write_model

LABELS = ("red", "green")


def write_photos(folder: Path, each: int) -> Path:
    from PIL import Image  # noqa: PLC0415

    for name, colour in {"red": "red", "green": "green", "other": "white"}.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(picture(colour, number, side=96)).save(folder / name / f"{number}.png")
    return folder


def test_each_photo_is_measured_once_with_settings_that_others_chose(tmp_path: Path) -> None:
    model = write_experts(write_model(tmp_path / "model", LABELS), LABELS)
    report = nested_cross_validation(model, [write_photos(tmp_path / "photos", 4)], folds=2)

    assert report["photos"] == 12
    assert report["not_measured"] == []
    assert {run["images"] for run in report["runs"]} == {8}
    assert {run["other_images"] for run in report["runs"]} == {4}
    assert all(run["accuracy"] == 1.0 for run in report["runs"])
    assert sum(one["times"] for one in report["chosen"]) == 2 * len(report["runs"])
    json.dumps(report)


def test_without_a_detector_only_the_classifiers_size_is_chosen(tmp_path: Path) -> None:
    model = write_experts(write_model(tmp_path / "model", LABELS), LABELS, detector=False)
    report = nested_cross_validation(model, [write_photos(tmp_path / "photos", 2)], folds=2)

    assert {one["detector_side"] for one in report["chosen"]} == {None}


def test_the_setting_is_chosen_without_the_photos_it_is_measured_on() -> None:
    """The first half is right at size 32 alone, the second half at 64 alone."""
    right, wrong = np.array([[8.0, -8.0]] * 3), np.array([[-8.0, 8.0]] * 3)
    measured = Measured(
        {(32, None): np.vstack([right, wrong]), (64, None): np.vstack([wrong, right])},
        np.zeros(6, dtype=np.int64),
    )
    first = np.arange(6) < 3
    for criterion in CRITERIA.values():
        assert choose(measured, first, criterion, 0.85).classifier_side == 32
        assert choose(measured, ~first, criterion, 0.85).classifier_side == 64


def test_an_accepted_photo_of_something_else_is_an_error() -> None:
    sure, unsure = np.array([[0.99, 0.01]]), np.array([[0.5, 0.5]])
    other = np.array([NEGATIVE])
    for criterion in CRITERIA.values():
        assert criterion(unsure, other, 0.85) > criterion(sure, other, 0.85)


def test_folds_hold_each_photo_once_and_each_class_in_equal_shares() -> None:
    truth = np.array([0] * 10 + [1] * 5 + [NEGATIVE] * 5)
    parts = split(truth, 5, seed=3)
    assert (np.sum(parts, axis=0) == 1).all()
    assert {tuple(np.sort(truth[part])) for part in parts} == {(NEGATIVE, 0, 0, 1)}


def test_sizes_are_multiples_of_the_networks_step() -> None:
    assert sizes(256) == (224, 256, 320)
    assert sizes(32) == (32,)


def test_too_few_photos_are_told_before_anything_is_chosen(tmp_path: Path) -> None:
    model = write_experts(write_model(tmp_path / "model", LABELS), LABELS)
    with pytest.raises(UsageError, match="--folds 3: red has only 2 photos"):
        nested_cross_validation(model, [write_photos(tmp_path / "photos", 2)], folds=3)


def test_a_model_without_pretrained_networks_has_nothing_to_choose(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", LABELS)
    with pytest.raises(UsageError, match="nothing to choose"):
        nested_cross_validation(model, [write_photos(tmp_path / "photos", 2)], folds=2)
