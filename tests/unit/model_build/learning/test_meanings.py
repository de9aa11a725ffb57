"""What labels mean to pretrained networks: the file."""

from model_build.learning.meanings import COCO, IMAGENET, meanings


def test_meanings_of_the_shipped_labels_and_of_others() -> None:
    assert meanings(["motorcycle", "bicycle"], IMAGENET) == {"motorcycle": (665, 670), "bicycle": (444, 671)}
    assert meanings(["bicycle", "truck"], COCO) == {"bicycle": (2,), "truck": (8,)}
    assert meanings(["bicycle", "lizard"], COCO) is None
    assert meanings(["bicycle", "cargo drone"], IMAGENET) is None
