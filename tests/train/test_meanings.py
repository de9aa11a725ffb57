"""What labels mean to pretrained networks: the file."""

from pathlib import Path

from model_build.learning.meanings import COCO, IMAGENET, meanings


def test_meanings_of_the_shipped_labels_and_of_others() -> None:
    assert meanings(["motorcycle", "bicycle"], IMAGENET) == {"motorcycle": (665, 670), "bicycle": (444, 671)}
    assert meanings(["bicycle", "truck"], COCO) == {"bicycle": (2,), "truck": (8,)}
    assert meanings(["bicycle", "lizard"], COCO) is None
    assert meanings(["bicycle", "cargo drone"], IMAGENET) is None


def test_no_code_names_a_label() -> None:
    """Labels are data: of the recipe's default, of meanings.json."""
    folder = Path(__file__).parents[2] / "model_build"
    for path in {*folder.glob("training/*.py"), *folder.glob("serving/*.py")} - {
        folder / "training/recipe.py"
    }:
        assert '"motorcycle"' not in path.read_text(encoding="utf-8"), path
