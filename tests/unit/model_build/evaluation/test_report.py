"""The figures of predictions that are known beforehand, and what is written of them."""

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_build.archive.loaded_model import open_model
from model_build.errors import ModelBuildError
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.report import (
    Metrics,
    Misclassified,
    NegativeClass,
    Report,
    SetReport,
    Targets,
    UnseenClasses,
    evaluate,
    negatives_by_class,
    set_report,
    table,
    write,
)
from tests.support.tiny_model import cifar100_files, write_archive, write_photo

LABELS = ("red", "blue")


def predictions(
    probabilities: list[list[float]],
    labels: list[int],
    negatives: Sequence[tuple[str, list[float]]] = (),
    **more: Any,
) -> Predictions:
    return Predictions(
        names=tuple(f"image {number}" for number in range(len(labels))),
        probabilities=np.array(probabilities).reshape(-1, 2),
        labels=np.array(labels, dtype=np.int64),
        negatives=np.array([row for _, row in negatives]).reshape(-1, 2),
        negative_names=tuple(name for name, _ in negatives),
        **more,
    )


FOUR = predictions(
    [[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]],
    [1, 1, 1, 0],
    [("cat/1", [0.9, 0.1]), ("cat/2", [0.5, 0.5]), ("dog/1", [0.15, 0.85])],
)


def test_metrics() -> None:
    assert asdict(Metrics.of(FOUR, 0.75)) == pytest.approx(
        {
            "images": 4,
            "accuracy": 1 / 4,
            "coverage": 2 / 4,
            "selective_accuracy": 1 / 2,
            "ece": (0.6 + 0.9 + 0.2 + 0.7) / 4,
            "other_images": 3,
            "other_accepted": 2 / 3,
            # of 0.6, 0.9, 0.8, 0.7 against 0.9, 0.5, 0.85: 1 + 2.5 + 1 + 1 of 12
            "other_auroc": (1 + 2.5 + 1 + 1) / 12,
            "jpeg_accuracy": None,
        }
    )


def test_rejection_compares_images_of_equal_compression() -> None:
    plain, compressed = [[0.9, 0.1]], np.array([[0.4, 0.6]])
    found = Metrics.of(predictions(plain, [0], [("cat/1", [0.7, 0.3])], jpeg_probabilities=compressed), 0.8)
    assert found.other_auroc == 0  # 0.6 against 0.7; uncompressed it would be 1
    assert found.coverage == found.accuracy == 1  # of the image as it is
    assert found.jpeg_accuracy == 0


def test_errors_are_listed_the_most_confident_first() -> None:
    report = set_report(FOUR, LABELS, 0.75)
    assert report.mistakes == (
        Misclassified("image 1", "red", 0.9),
        Misclassified("image 3", "blue", 0.7),
        Misclassified("image 0", "red", 0.6),
    )
    assert report.false_acceptances == (
        Misclassified("cat/1", "red", 0.9),
        Misclassified("dog/1", "blue", 0.85),
    )
    assert report.confusion == [[0, 1], [2, 1]]
    shortened = set_report(FOUR, LABELS, 0.75, most_errors=1)
    assert shortened.mistakes == report.mistakes[:1]
    assert shortened.false_acceptances == report.false_acceptances[:1]


def test_negatives_by_class() -> None:
    # The network has an output for cats: only dogs were never seen.
    by_class, unseen = negatives_by_class(FOUR, 0.75, ["red", "blue", "cat"])
    assert by_class == {"cat": NegativeClass(2, 1 / 2), "dog": NegativeClass(1, 1.0)}
    assert (unseen.kinds, unseen.images, unseen.accepted) == (("dog",), 1, 1.0)
    assert unseen.auroc == 1 / 4  # 0.9 of 0.6, 0.9, 0.8, 0.7 exceeds 0.85


def report_of(archives: SetReport, photos: SetReport | None = None) -> Report:
    return Report(0.75, LABELS, archives, {}, UnseenClasses((), 0, None, None), photos)


def test_the_table_has_a_column_for_each_set_and_names_every_error() -> None:
    archives = set_report(predictions([[0.9, 0.1]], [0]), LABELS, 0.75)
    archives = replace(archives, metrics=replace(archives.metrics, jpeg_accuracy=1.0))
    lines = table(report_of(archives, set_report(FOUR, LABELS, 0.75))).splitlines()
    rows = {line[:40].strip(): line[40:].split() for line in lines}
    assert rows["threshold 0.75"] == ["test", "images", "photos"]
    assert rows["labelled images"] == ["1", "4"]
    assert rows["out-of-distribution images"] == ["0", "3"]
    assert rows["false acceptance rate"] == ["-", "0.667"]
    assert rows["accuracy after JPEG compression"] == ["1.000", "-"]
    where = lines.index("confusion matrix, photos (rows: true class):")
    assert [line.split() for line in lines[where + 1 : where + 4]] == [
        ["red", "blue"],
        ["red", "0", "1"],
        ["blue", "2", "1"],
    ]
    assert any(
        line.startswith("photos: 1 of 2 accepted predictions are wrong: of such images at most 97.47 % are")
        for line in lines
    )
    where = lines.index("misclassified photos, the most confident first:")
    assert lines[where + 1] == "  image 1: red (0.900)"
    where = lines.index("falsely accepted photos:")
    assert lines[where + 1 :] == ["  cat/1: red (0.900)", "  dog/1: blue (0.850)"]


def test_a_promise_that_cannot_be_proven_says_what_is_missing() -> None:
    sure = predictions([[0.995, 0.005]] * 100, [0] * 100)
    missing, proven = (
        table(report_of(set_report(sure, LABELS, 0.75, Targets(promise=rate)))) for rate in (0.01, 0.03)
    )
    assert "no threshold promises at most 1 % of the accepted wrong, with 95 % confidence" in missing
    assert "about 199 further labelled images like these would be needed" in missing
    assert "test images: threshold 0.51 promises at most 3 % of the accepted wrong" in proven


def test_of_photos_every_error_is_listed_of_archives_ten(model: Path, tmp_path: Path) -> None:
    for number in range(12):
        write_photo(tmp_path / "photos" / "red" / f"{number}.png", "blue")
    files = cifar100_files(["red", "blue"], 1, 12)
    member = files["cifar-100-python/test"]
    assert isinstance(member, dict)
    member[b"fine_labels"] = [1 - label for label in member[b"fine_labels"]]
    data = write_archive(tmp_path / "wrong.tar.gz", files)
    with open_model(model) as loaded:
        report = evaluate(loaded, [data], [tmp_path / "photos"])
    mistakes = report.archives.mistakes
    assert len(mistakes) == 10
    assert all(re.fullmatch(r"(blue/red|red/blue)_s_0000\d\d\.png", one.image) for one in mistakes)
    assert report.photos is not None
    assert len(report.photos.mistakes) == 12
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelBuildError, match="file cannot be written: "):
        write(report, tmp_path / "file")
