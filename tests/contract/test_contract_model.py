"""The shipped model and the template's parameters have the same labels and the same threshold."""

import json

from model_build.archive.package import DEFAULT_MODEL
from tests.support.sam_app import parameter_default

MANIFEST = json.loads((DEFAULT_MODEL / "manifest.json").read_text(encoding="utf-8"))


def test_class_labels_are_those_of_the_model_in_its_order() -> None:
    assert parameter_default("ClassLabels").split(",") == MANIFEST["labels"]


def test_the_threshold_is_the_one_that_the_model_was_measured_at() -> None:
    assert float(parameter_default("ConfidenceThreshold")) == MANIFEST["default_threshold"]
