"""Evaluation of a tiny model whose right and wrong answers are known beforehand."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model_build.__main__ import main
from model_build.artifact.loaded_model import open_model
from model_build.artifact.package import package_model
from model_build.data.cifar import load_archive
from model_build.data.jpeg import jpeg_round_trip
from model_build.evaluation import predictions as answers
from model_build.evaluation.report import mistakes, report
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive, write_model, write_photo

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


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Knows red and blue, and green as a kind of something else."""
    return write_model(tmp_path / "model", ["red", "blue"], ["green"])


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


def test_wrong_answers_are_counted_and_described(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = cifar100_files(["red", "blue"], 1, 5)
    member = files["cifar-100-python/test"]
    assert isinstance(member, dict)
    member[b"fine_labels"][0] = 1  # a red image that the archive calls blue
    figures = evaluate(capsys, "--model", model, "--data", write_archive(tmp_path / "c.tar.gz", files))
    assert figures["accuracy"] == figures["selective_accuracy"] == 0.9
    assert figures["confusion"] == [[4, 0], [1, 5]]
    assert [(one["image"], one["answer"]) for one in figures["mistakes"]] == [
        ("blue/red_s_000000.png", "red")
    ]


def test_what_cannot_be_said_is_null(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    write_photo(photos / "red" / "1.png", "red")
    write_photo(photos / "red" / "2.jpg", "blue")
    write_photo(photos / "blue" / "1.webp", "blue")
    write_photo(photos / "other" / "1.png", "green")
    (photos / "other" / ".hidden").write_text("no photo")
    figures = evaluate(capsys, "--model", model, "--photos", photos)["photos"]
    assert set(figures) >= CONTRACT
    assert (figures["images"], figures["other_images"]) == (3, 1)
    assert figures["confusion"] == [[1, 1], [0, 1]]
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["mistakes"][0]["image"] == "red/2.jpg"


def test_a_photo_that_cannot_be_read_is_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "photos" / "red" / "1.png", "red")
    (tmp_path / "photos" / "red" / "broken.png").write_text("no photo")
    assert main(["evaluate", "--model", str(model), "--photos", str(tmp_path / "photos"), "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["photos"]["images"] == 1
    assert "red/broken.png" in err


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


def test_the_archive_of_a_model_answers_like_its_folder(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue", "white"], 1, 3))
    packed = package_model(model, tmp_path / "model.tar.gz")
    assert evaluate(capsys, "--model", packed, "--data", data) == evaluate(
        capsys, "--model", model, "--data", data
    )


def test_the_code_in_the_model_is_what_runs(tmp_path: Path, model: Path) -> None:
    (model / "code").mkdir()
    (model / "code" / "helper.py").write_text("ANSWER = [0.25, 0.75]\n")
    (model / "code" / "inference.py").write_text(
        "import json\nfrom helper import ANSWER\n"
        "class BadRequest(ValueError): pass\n"
        "def model_fn(model_dir): return None\n"
        "def input_fn(body, content_type): return body\n"
        "def predict_fn(data, model): return ANSWER\n"
        "def output_fn(prediction, accept): return json.dumps(prediction)\n"
    )
    with open_model(package_model(model, tmp_path / "model.tar.gz")) as served:
        assert served.classify(b"anything").tolist() == [0.25, 0.75]


# ------------------------------------------------------------------ the JPEG trap


def _asked(monkeypatch: pytest.MonkeyPatch, model: Path, *data: Path) -> list[tuple[str, bytes]]:
    """Class and pixels of every image that the evaluation of these archives asks the model about."""
    asked: list[tuple[str, bytes]] = []
    original = answers.answers_for

    def spy(model: Any, pictures: Any, title: str) -> Any:
        asked.extend((one.name.split("/")[0], _pixels(one.body)) for one in pictures)
        return original(model, pictures, title)

    monkeypatch.setattr(answers, "answers_for", spy)
    with open_model(model) as served:
        answers.archive_answers(served, [load_archive(path) for path in data])
    return asked


def _pixels(body: bytes) -> bytes:
    with Image.open(io.BytesIO(body)) as image:
        return image.tobytes()


def test_without_jpegs_every_image_is_measured_as_it_is(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "white"], 1, 2))
    images = load_archive(path).test.images
    assert [pixels for _, pixels in _asked(monkeypatch, model, path)] == [one.tobytes() for one in images]


def test_beside_decoded_jpegs_nothing_else_is_told_by_compression(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = write_archive(tmp_path / "c100.tar.gz", cifar100_files(["red", "white"], 1, 1))
    jpegs = write_archive(tmp_path / "c10.tar.gz", cifar10_files(["black"], 1, 1))
    red, white = load_archive(plain).test.images
    black = load_archive(jpegs).test.images[0]
    compressed = jpeg_round_trip(np.stack([red, white]), 75)
    asked = _asked(monkeypatch, model, plain, jpegs)
    assert asked == [
        ("red", red.tobytes()),  # as it is, for accuracy and calibration
        ("white", compressed[1].tobytes()),  # compressed once, like
        ("black", black.tobytes()),  # this, which was compressed already
        ("red", compressed[0].tobytes()),  # and this, which the others are compared with
    ]


def test_auroc_compares_compressed_with_compressed() -> None:
    plain, compressed = np.array([[0.9, 0.1]]), np.array([[0.6, 0.4]])
    others = np.array([[0.7, 0.3]])
    said = answers.Answers(["a"], plain, np.array([0]), others, ["b"], jpeg_probabilities=compressed)
    figures = report(said, threshold=0.8, target=None)
    assert figures["other_auroc"] == 0  # 0.6 against 0.7; uncompressed it would be 1
    assert figures["coverage"] == figures["accuracy"] == 1  # of the image as it is


def test_the_worst_mistake_comes_first() -> None:
    shares = np.array([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    said = answers.Answers(["a", "b", "c", "d"], shares, np.array([1, 1, 1, 0]), shares[:0], [])
    assert [one["image"] for one in mistakes(said, ["red", "blue"])] == ["b", "d", "a"]


# ------------------------------------------------------------------ what is wrong is named


def test_archives_without_the_models_classes(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["white"], 1, 1))
    assert main(["evaluate", "--model", str(model), "--data", str(data)]) == 2
    assert "no archive has test images of red, blue; they have white" in capsys.readouterr().err


def test_a_folder_of_photos_with_an_unknown_name(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photo(tmp_path / "photos" / "purple" / "1.png", "red")
    assert main(["evaluate", "--model", str(model), "--photos", str(tmp_path / "photos")]) == 2
    assert "purple: photos lie in folders named red, blue or other" in capsys.readouterr().err


@pytest.mark.parametrize("threshold", ["1.5", "-0.1", "high", "nan"])
def test_thresholds_that_are_none(model: Path, threshold: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--model", str(model), f"--threshold={threshold}"])
    assert "no number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json"),
        (
            lambda folder: (folder / "manifest.json").write_text("{}"),
            "manifest.json is invalid: format is None",
        ),
        (lambda folder: (folder / "model.onnx").unlink(), "model_fn failed: FileNotFoundError"),
        (lambda folder: (folder / "model.onnx").write_bytes(b"junk"), "model_fn failed"),
    ],
)
def test_a_broken_model(model: Path, change: Any, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    change(model)
    assert main(["evaluate", "--model", str(model), "--photos", str(model)]) == 1
    assert message in capsys.readouterr().err


def test_a_model_that_answers_something_else(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "code").mkdir()
    (model / "code" / "inference.py").write_text(
        "import json\n"
        "class BadRequest(ValueError): pass\n"
        "def model_fn(model_dir): return None\n"
        "def input_fn(body, content_type): return body\n"
        "def predict_fn(data, model): return [0.9, 0.9]\n"
        "def output_fn(prediction, accept): return json.dumps(prediction)\n"
    )
    photo = write_photo(tmp_path / "photos" / "red" / "1.png", "red")
    assert main(["evaluate", "--model", str(model), "--photos", str(photo.parents[1])]) == 1
    assert "the answer [0.9, 0.9] is not one probability per label (red, blue)" in capsys.readouterr().err


# ------------------------------------------------------------------ for people


def test_the_table_and_the_drawings(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue", "white"], 1, 3))
    photo = write_photo(tmp_path / "photos" / "red" / "1.png", "red")
    arguments = ["--data", str(data), "--photos", str(photo.parents[1]), "--output", str(tmp_path / "out")]
    assert main(["evaluate", "--model", str(model), *arguments, "--target", "0.9"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["threshold", "0.8", "test", "images", "photos"]
    assert lines[1].split() == ["labelled", "images", "6", "1"]
    assert any(line.startswith("photos, for 0.9 right of the accepted: threshold") for line in lines)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    drawings = {"confusion.png", "reliability.png", "trade_off.png"}
    assert written == {"evaluation.json"} | drawings | {f"photos_{name}" for name in drawings}
    for name in drawings:
        with Image.open(tmp_path / "out" / name) as image:
            assert len(image.getcolors(1 << 20) or []) > 2  # something is drawn
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["images"] == 6
