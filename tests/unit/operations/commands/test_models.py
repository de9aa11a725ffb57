"""`model list` counts photos by the model that answered them."""

from typing import Any

from operations.commands.models import Photos, count
from operations.results import Record


def answered(model: str | None, label: str | None, confidence: float, **more: Any) -> Record:
    facts: dict[str, Any] = {"confidence": confidence, "threshold": 0.85, "model_version": model, **more}
    return Record("s3://photos/a", "v1", "ACCEPTED", label=label, **facts)


def test_photos_are_counted_by_the_model_that_answered_and_decisions_by_whether_they_differ() -> None:
    person = {"decided_by": "ann", "model_label": "bicycle"}
    records = [
        answered("a", "bicycle", 0.9),
        answered("a", "bicycle", 0.5, **person),
        answered("a", "motorcycle", 0.6, **person),
        answered("a", None, 0.95, **person),  # shows none of the labels
        answered("b", "bicycle", 0.85),
        Record("s3://photos/a", "v1", "REJECTED", error="UnsupportedImage"),
    ]

    assert count(records) == {"a": Photos(4, 2, 3, 2), "b": Photos(1, 1, 0, 0)}
