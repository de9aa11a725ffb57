"""`model_build card`: a card of whatever classes, from a fresh evaluation."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from model_build.__main__ import main
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive, write_model, write_photo


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Write a model as training leaves it, seed and measured figures included."""
    return _trained(tmp_path / "model", seed=0, accuracy=0.75)


def _trained(folder: Path, seed: int, accuracy: float) -> Path:
    write_model(folder, ["red", "blue"], ["green"])
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest |= {
        "recipe": {"seed": seed, "augmentation": {"flip": 0.123456}, "steps": [1, 2.5]},
        "metrics": {"accuracy": accuracy, "coverage": 0.5},
        "training_data": {"sha256": {"a.tar.gz": "abc123"}, "images": {"blue": 7, "green": 8, "red": 9}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def arguments(tmp_path: Path, model: Path) -> list[str]:
    data = write_archive(tmp_path / "c100.tar.gz", cifar100_files(["red", "blue"], 1, 4))
    others = write_archive(tmp_path / "c10.tar.gz", cifar10_files(["green", "white"], 1, 3))
    photo = write_photo(tmp_path / "photos" / "red" / "wrong|1.png", "blue")
    return [
        "card", "--model", str(model), "--data", str(data), str(others), "--photos", str(photo.parents[1]),
        "--output", str(tmp_path / "CARD.md"),
    ]  # fmt: skip


def _rows(card: str) -> dict[str, list[str]]:
    """Return the card's table rows by their first cell."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in card.splitlines() if "|" in line
    ]
    return {row[0]: row[1:] for row in rows}


def test_the_card_contains_what_was_measured(tmp_path: Path, model: Path, arguments: list[str]) -> None:
    assert main(arguments) == 0
    card = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# Model card: red, blue\n")
    rows = _rows(card)
    assert rows["labelled images"] == ["8", "1"]
    assert rows["accuracy"] == ["1.000 (0.676 to 1.000)", "0.000 (0.000 to 0.793)"]
    assert rows["metric"] == ["test images", "photos"]
    assert rows["coverage at threshold 0.8"] == ["1.000", "1.000"]
    assert rows["selective accuracy"] == rows["accuracy"]
    assert rows["false acceptance rate"] == ["0.000", "-"]
    assert rows["white"] == ["3", "0.000", "no"]  # the test images; the network has no output for them
    assert "training never saw (white; 3 images)" in card
    assert "all others were compressed too" in card
    assert rows["red/wrong\\|1.png"] == ["blue", "1.000"]
    assert "None on the test images." in card
    settings = ("input", "PyTorch", "seed", "augmentation.flip", "steps", "threshold", "views.1.side")
    assert [rows[name] for name in settings] == [
        ["32x32"], ["-"], ["0"], ["0.1235"], ["1, 2.5"], ["0.8"], ["32"]
    ]  # fmt: skip
    assert "SHA-256 `abc123`" in card
    assert "### Seeds" not in card
    figures = json.loads((model / "evaluation.json").read_text())
    assert figures["images"] == 8
    links = re.findall(r"!\[.*?\]\((.*?)\)", card)
    assert len(links) == 6
    assert all((tmp_path / link).is_file() for link in links)


def test_figures_of_other_seeds_stay(tmp_path: Path, arguments: list[str]) -> None:
    others = [str(_trained(tmp_path / f"seed{n}", n, accuracy)) for n, accuracy in ((1, 0.85), (2, 0.95))]
    assert main([*arguments, "--seeds", *others]) == 0
    card = (tmp_path / "CARD.md").read_text(encoding="utf-8")
    # mean 0.85, standard deviation 0.1: the interval is 4.30 * 0.1 / sqrt(3)
    assert _rows(card)["mean"] == ["0.850 ± 0.248", "0.500 ± 0.000"]
    assert main(arguments) == 0
    assert (tmp_path / "CARD.md").read_text(encoding="utf-8") == card


def test_without_negatives_the_card_omits_their_sections(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_archive(tmp_path / "c100.tar.gz", cifar100_files(["red", "blue"], 1, 4))
    photos = write_photo(tmp_path / "photos" / "red" / "a.png", "red").parents[1]
    card = tmp_path / "MODEL_CARD.md"  # beside the model folder, if --output is omitted
    options = ["--data", str(data), "--photos", str(photos)]
    assert main(["card", "--model", str(model), *options]) == 0
    assert capsys.readouterr().out.strip() == str(card)
    text = card.read_text(encoding="utf-8")
    assert "were compressed too" not in text
    assert "(model/confusion.png)" in text
    assert "\n\n\n" not in text
    assert [line.strip("# ") for line in text.splitlines() if line.startswith("##")] == [
        "Intended use",
        "Out of scope",
        "Training data",
        "Recipe",
        "Evaluation",
        "Error bounds",
        "Operating points",
        "Charts",
        "Most confident errors",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--output", "/elsewhere/CARD.md"], "put it beside or above"),
        (["--model", "nowhere"], "'nowhere' does not exist"),
        (["--photos", "nowhere"], "'nowhere' does not exist"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_written(
    model: Path, arguments: list[str], change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in model.iterdir())
    assert main([*arguments, *change]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in model.iterdir()) == before


def test_models_without_a_seed_are_refused(
    tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(tmp_path / "other", ["red", "blue"])
    assert main([*arguments, "--seeds", str(other)]) == 1
    assert f"{other}: manifest.json has no recipe with a seed, or no metrics" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = write_model(tmp_path / "m", ["red", "blue"])
    data = write_archive(tmp_path / "c.tar.gz", cifar100_files(["red", "blue"], 1, 1))
    write_photo(tmp_path / "photos" / "blue" / os.fsdecode(b"\xfe\x1b[1m.png"), "red")
    options = ["--model", str(model), "--data", str(data), "--photos", str(tmp_path / "photos")]
    assert main(["evaluate", *options]) == 0
    assert r"  blue/\udcfe\x1b[1m.png: red (" in capsys.readouterr().out
    assert main(["card", *options, "--output", str(tmp_path / "card.md")]) == 0
    assert r"| blue/\udcfe\x1b[1m.png | red |" in (tmp_path / "card.md").read_text(encoding="utf-8")
