"""`model_build evaluate` with a tiny model whose correct and wrong predictions are known beforehand."""

import json
from pathlib import Path
from typing import Any

import pytest

from model_build.__main__ import main
from tests.support.tiny_model import cifar100_files, write_archive, write_photo

CONTRACT = {
    "images",
    "accuracy",
    "coverage",
    "selective_accuracy",
    "ece",
    "other_images",
    "other_accepted",
    "other_auroc",
}


def evaluate(capsys: pytest.CaptureFixture[str], *arguments: Path | str, status: int = 0) -> dict[str, Any]:
    assert main(["evaluate", *map(str, arguments), "--json"]) == status
    figures = json.loads(capsys.readouterr().out)
    assert isinstance(figures, dict)
    return figures


def test_figures_of_an_archive(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_archive(tmp_path / "c100.tar.gz", cifar100_files(["green", "blue", "red", "white"], 1, 5))
    figures = evaluate(capsys, "--model", model, "--data", data)
    assert set(figures) >= CONTRACT
    assert figures["images"] == 10
    assert figures["accuracy"] == figures["coverage"] == figures["selective_accuracy"] == 1
    assert figures["ece"] < 0.01
    assert figures["other_images"] == 10
    assert figures["other_accepted"] == 0
    assert figures["other_auroc"] == 1
    assert figures["confusion"] == [[5, 0], [0, 5]]
    assert figures["other_kinds"]["green"] == {"images": 5, "accepted": 0}
    # green is an output of the network, white is none: only white was never trained on
    assert figures["other_unseen"] == {"kinds": ["white"], "images": 5, "accepted": 0, "auroc": 1}
    assert figures["photos"] is None


def test_what_is_undefined_is_null(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue"], 1, 2))
    figures = evaluate(capsys, "--model", model, "--data", data)
    assert figures["other_images"] == 0
    assert figures["other_accepted"] is None
    assert figures["other_auroc"] is None
    photo = write_photo(tmp_path / "photos" / "other" / "a.png", "green")
    figures = evaluate(capsys, "--model", model, "--photos", photo.parents[1])
    assert figures["images"] == figures["photos"]["images"] == 0
    assert figures["accuracy"] is figures["photos"]["coverage"] is figures["photos"]["ece"] is None
    assert figures["photos"]["other_images"] == 1


def test_photos_by_folder(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    files = {"red/1.png": "red", "red/2.jpg": "blue", "blue/1.png": "blue", "other/1.png": "red"}
    for name, colour in files.items():
        write_photo(photos / name, colour)
    (photos / "red" / "broken.png").write_text("no photo")
    assert main(["evaluate", "--model", str(model), "--photos", str(photos), "--json"]) == 1
    out, err = capsys.readouterr()
    assert "not measured: red/broken.png: " in err
    figures = json.loads(out)["photos"]
    assert set(figures) >= CONTRACT
    assert (figures["images"], figures["other_images"]) == (3, 1)
    assert figures["confusion"] == [[1, 1], [0, 1]]
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert [one["image"] for one in figures["mistakes"]] == ["red/2.jpg"]
    assert [one["image"] for one in figures["false_acceptances"]] == ["other/1.png"]


def test_threshold_and_target(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue"], 1, 5))
    figures = evaluate(capsys, "--model", model, "--data", data)
    assert figures["threshold"] == 0.8
    assert "target" not in figures
    figures = evaluate(capsys, "--model", model, "--data", data, "--threshold", "1", "--target", "0.99")
    assert figures["threshold"] == 1
    choice = figures["target"]["choice"]
    assert choice["coverage"] == choice["selective_accuracy"] == 1
    again = evaluate(capsys, "--model", model, "--data", data, "--threshold", str(choice["threshold"]))
    assert again["coverage"] == 1


def test_the_table_and_the_files(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue", "white"], 1, 3))
    photo = write_photo(tmp_path / "photos" / "red" / "1.png", "red")
    arguments = ["--data", str(data), "--photos", str(photo.parents[1]), "--output", str(tmp_path / "out")]
    assert main(["evaluate", "--model", str(model), *arguments, "--target", "0.9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["threshold", "0.8", "test", "images", "photos"]
    assert lines[1].split() == ["labelled", "images", "6", "1"]
    assert any(line.startswith("photos: threshold") for line in lines)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["images"] == 6
    assert (tmp_path / "out" / "photos_confusion.png").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json is invalid: format is"),
        (lambda folder: (folder / "model.onnx").unlink(), "model_fn failed: FileNotFoundError"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"junk"), "model_fn failed"),
    ],
)
def test_a_broken_model(model: Path, change: Any, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    change(model)
    assert main(["evaluate", "--model", str(model), "--photos", str(model)]) == 1
    assert message in capsys.readouterr().err
