"""Training on a tiny archive of five colours: nothing may depend on what the classes are.

A few seconds each; the accuracy of the shipped model is measured elsewhere.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_build.__main__ import main
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive

LABELS = ["yellow", "red", "green", "white", "blue"]  # not the archive's order
ALL = ["red", "green", "blue", "yellow", "white", "black"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_archive(tmp_path_factory.mktemp("data") / "c100.tar.gz", cifar100_files(ALL, 20, 5))


@pytest.fixture(scope="module")
def model(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return train(folder, archive, "--epochs", "6")


def train(folder: Path, archive: Path, *options: str, labels: Sequence[str] = LABELS) -> Path:
    arguments = ["--data", str(archive), "--classes", ",".join(labels), "--output", str(folder), *options]
    assert main(["train", *arguments]) == 0
    return folder


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def test_the_manifest_says_all_that_inference_needs(model: Path, archive: Path) -> None:
    manifest = manifest_of(model)
    assert manifest["labels"] == manifest["outputs"][: len(LABELS)] == LABELS
    assert "black" in manifest["outputs"]
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert manifest["training_data"]["sha256"] == {"c100.tar.gz": sha256}
    assert manifest["recipe"]["epochs"] == 6
    assert {path.name for path in (model / "code").iterdir()} >= {"inference.py", "bundled_packages.py"}
    assert all((model / name).is_file() for name in ("training_loss.png", "confusion.png"))


def test_what_was_trained_is_what_evaluation_measures(
    model: Path, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["evaluate", "--model", str(model), "--data", str(archive), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["images"], figures["other_images"]) == (25, 5)
    assert figures["accuracy"] >= 0.9  # colours are easy: a label in the wrong column shows
    for name, value in manifest_of(model)["metrics"].items():
        assert value == pytest.approx(figures[name], abs=1e-6), name


def test_one_seed_gives_one_model_however_many_cores_there_are(tmp_path: Path) -> None:
    """Seven outputs: threads split a matrix product differently where four do not divide it."""
    archive = write_archive(tmp_path / "c100.tar.gz", cifar100_files(ALL[:5], 20, 5))
    options = ("--epochs", "1", "--seed")
    torch.set_num_threads(1)
    first = train(tmp_path / "first", archive, *options, "3", labels=ALL[:4])
    torch.set_num_threads(2)
    again = train(tmp_path / "again", archive, *options, "3", labels=ALL[:4])
    other = train(tmp_path / "other", archive, *options, "4", labels=ALL[:4])
    assert len(manifest_of(first)["outputs"]) == 7
    assert digest(first) == digest(again) != digest(other)
    assert manifest_of(first) == manifest_of(again)


def test_the_test_images_have_no_say(archive: Path, tmp_path: Path) -> None:
    files = cifar100_files(ALL, 20, 5)
    test = files["cifar-100-python/test"]
    assert isinstance(test, dict)
    test[b"data"] = np.zeros_like(test[b"data"])
    test[b"fine_labels"] = test[b"fine_labels"][::-1]
    changed = write_archive(tmp_path / "c100.tar.gz", files)
    one = train(tmp_path / "one", archive, "--epochs", "1")
    two = train(tmp_path / "two", changed, "--epochs", "1")
    assert digest(one) == digest(two)
    assert manifest_of(one)["metrics"] != manifest_of(two)["metrics"]


def test_two_classes_and_another_archive_of_others(archive: Path, tmp_path: Path) -> None:
    others = write_archive(tmp_path / "c10.tar.gz", cifar10_files(["white", "black"], 5, 2))
    folder = train(tmp_path / "m", archive, "--data", str(others), "--epochs", "1", labels=["blue", "red"])
    manifest = manifest_of(folder)
    assert manifest["labels"] == ["blue", "red"]
    assert set(manifest["training_data"]["sha256"]) == {"c100.tar.gz", "c10.tar.gz"}
    assert manifest["training_data"]["images"]["white"] == 20 + 2 * 5
    assert manifest["metrics"]["other_images"] == 4 * 5 + 2 * 2
    assert manifest["metrics"]["jpeg_accuracy"] is not None


def test_a_time_budget_ends_the_training(archive: Path, tmp_path: Path) -> None:
    folder = train(tmp_path / "m", archive, "--epochs", "100000", "--time-budget", "1")
    assert manifest_of(folder)["labels"] == LABELS


@pytest.mark.parametrize(
    "option", [("--frozen", "0"), ("--frozen", "17"), ("--side", "32"), ("--warmup", "0")]
)
def test_the_ends_of_the_bounds_train(archive: Path, tmp_path: Path, option: tuple[str, str]) -> None:
    train(tmp_path / "m", archive, "--epochs", "1", *option, labels=["blue", "red"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "red,blue", "--batch", "4096"], "--batch 4096: fewer training images than one batch"),
        (["--classes", "red,purple"], "no training images of purple; the data has black, blue"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    archive: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--data", str(archive), "--output", str(tmp_path / "m"), *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_cross_validation_measures(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--classes", "red,blue", "--epochs", "1", "--folds", "5", "--only", "1", "--json"]
    assert main(["cross-validate", "--data", str(archive), *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["folds"] == 1
    assert (report["side"], report["images"]) == (160, 2 * 4)
