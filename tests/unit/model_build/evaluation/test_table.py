"""The report as text: only what was measured, and every wrong photo by its name."""

from dataclasses import replace

import numpy as np

from model_build.evaluation.predictions import Predictions
from model_build.evaluation.report import Report, SetReport, Targets, UnseenClasses, set_report, table

LABELS = ("red", "blue")


def of(probabilities: list[list[float]], labels: list[int], negatives: list[list[float]]) -> SetReport:
    predictions = Predictions(
        names=tuple(f"red/{number}.jpg" for number in range(len(labels))),
        probabilities=np.array(probabilities).reshape(-1, 2),
        labels=np.array(labels, dtype=np.int64),
        negatives=np.array(negatives).reshape(-1, 2),
        negative_names=tuple(f"other/{number}.jpg" for number in range(len(negatives))),
    )
    return set_report(predictions, LABELS, 0.75, Targets(target=0.9))


NOTHING = of([], [], [])
PHOTOS = of([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], [0, 0, 0], [[0.95, 0.05], [0.5, 0.5]])


def report(archives: SetReport, photos: SetReport | None) -> Report:
    return Report(0.75, LABELS, archives, {}, UnseenClasses((), 0, None, None), photos)


def rows(text: str) -> dict[str, list[str]]:
    return {line[:40].strip(): line[40:].split() for line in text.splitlines()}


def test_wrong_photos_are_named() -> None:
    lines = table(report(NOTHING, PHOTOS)).splitlines()
    where = lines.index("misclassified photos, the most confident first:")
    assert lines[where + 1] == "  red/1.jpg: blue (0.800)"
    where = lines.index("falsely accepted photos:")
    assert lines[where + 1 :] == ["  other/0.jpg: red (0.950)"]


def test_both_sets_have_a_column_each() -> None:
    archives = of([[0.9, 0.1]], [0], [])
    archives = replace(archives, metrics=replace(archives.metrics, jpeg_accuracy=1.0))
    found = rows(table(report(archives, PHOTOS)))
    assert found["threshold 0.75"] == ["test", "images", "photos"]
    assert found["labelled images"] == ["1", "3"]
    assert found["out-of-distribution images"] == ["0", "2"]
    assert found["false acceptance rate"] == ["-", "0.500"]
    assert found["accuracy after JPEG compression"] == ["1.000", "-"]


def test_the_confusion_matrix() -> None:
    lines = table(report(NOTHING, PHOTOS)).splitlines()
    where = lines.index("confusion matrix, photos (rows: true class):")
    assert [line.split() for line in lines[where + 1 : where + 4]] == [
        ["red", "blue"],
        ["red", "2", "1"],
        ["blue", "0", "0"],
    ]


def test_how_many_accepted_are_wrong_at_most() -> None:
    text = table(report(NOTHING, PHOTOS))
    assert "photos: 1 of 2 accepted predictions are wrong: of such images at most 97.47 % are" in text


def test_a_promise_that_cannot_be_proven_says_what_is_missing() -> None:
    sure = Predictions(
        names=("a",) * 100,
        probabilities=np.array([[0.995, 0.005]] * 100),
        labels=np.zeros(100, np.int64),
        negatives=np.zeros((0, 2)),
        negative_names=(),
    )
    text = table(report(set_report(sure, LABELS, 0.75, Targets(promise=0.01)), None))
    assert "no threshold promises at most 1 % of the accepted wrong, with 95 % confidence" in text
    assert "about 199 further labelled images like these would be needed" in text
    text = table(report(set_report(sure, LABELS, 0.75, Targets(promise=0.03)), None))
    assert "test images: threshold 0.51 promises at most 3 % of the accepted wrong" in text
