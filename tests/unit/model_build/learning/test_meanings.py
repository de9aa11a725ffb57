"""What labels mean to pretrained networks: the file."""

from model_build.learning.meanings import COCO, IMAGENET, WHEELED, confusable, meanings


def test_meanings_of_the_shipped_labels_and_of_others() -> None:
    assert meanings(["motorcycle", "bicycle"], IMAGENET) == {"motorcycle": (665, 670), "bicycle": (444, 671)}
    assert meanings(["bicycle", "truck"], COCO) == {"bicycle": (2,), "truck": (8,)}
    assert meanings(["bicycle", "lizard"], COCO) is None
    assert meanings(["bicycle", "cargo drone"], IMAGENET) is None


def test_other_wheeled_things_are_confusable_with_cycles() -> None:
    assert confusable(["lizard", "bicycle"]) == tuple(WHEELED)
    assert confusable(["lizard", "truck"]) is None
    named = meanings(["bicycle", "motorcycle"], IMAGENET) or {}
    assert not {number for outputs in named.values() for number in outputs} & WHEELED.keys()
