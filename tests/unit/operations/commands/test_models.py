"""`model list`: photos by the model that answered them, and a line for each model."""

from typing import Any

from operations.commands.models import count, line
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

    assert count(records) == {
        "a": {"answered": 4, "accepted": 2, "decided": 3, "overruled": 2},
        "b": {"answered": 1, "accepted": 1, "decided": 0, "overruled": 0},
    }


def test_a_line_says_what_is_known() -> None:
    one: dict[str, Any] = {
        "model": "scones-1",
        "serving": True,
        "deployed_at": "2026-11-23T10:15:00+00:00",
        "labels": ["bicycle", "motorcycle"],
        "metrics": {"accuracy": 0.965},
        "photos": {"answered": 1203, "accepted": 1100, "decided": 40, "overruled": 3},
    }
    assert line(one) == (
        "* scones-1  serves since 2026-11-23 10:15  bicycle,motorcycle  accuracy 0.965  "
        "1,203 photos, 1,100 accepted  40 decided by people, 3 otherwise"
    )
    unknown = one | {"serving": False, "labels": None, "metrics": None, "photos": None}
    assert line(unknown) == "  scones-1  deployed 2026-11-23 10:15  labels unknown  accuracy unknown"
