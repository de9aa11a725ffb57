"""What labels mean to pretrained networks: the file, and how it was found."""

import json
from pathlib import Path

import pytest

from model_build.training import find_meanings
from model_build.training.find_meanings import WordNet, find
from model_build.training.meanings import CLASSES, OBJECTS, meanings

LICENCE = "  1 This software and database is being provided to you\n"
# offset, file, type, words in hexadecimal, word, lexical id, pointers, hypernym, | gloss
DATA = """\
00000001 06 n 01 vehicle 0 000 | moves
00000002 06 n 02 bike 0 bicycle 0 001 @ 00000001 n 0000 | has two wheels
00000003 06 n 01 tandem 0 002 @ 00000002 n 0000 ~ 00000001 n 0000 | has two seats
00000004 06 n 01 bike_rack 0 000 | holds one
"""
INDEX = """\
bike n 2 1 @ 2 1 00000004 00000002
tandem n 1 1 @ 1 1 00000003
"""


@pytest.fixture
def wordnet(tmp_path: Path) -> WordNet:
    (tmp_path / "data.noun").write_text(LICENCE + DATA)
    (tmp_path / "index.noun").write_text(LICENCE + INDEX)
    return WordNet(tmp_path)


def test_a_class_below_the_meant_sense_means_the_label(
    wordnet: WordNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    senses = {"bike": {"sense": 2, "also": ["rack"], "not": ["bike"], "objects": {"2": "bicycle"}}}
    (tmp_path / "senses.json").write_text(json.dumps(senses))
    monkeypatch.setattr(find_meanings, "SENSES", tmp_path / "senses.json")
    classes = {"0": "n00000001", "1": "n00000002", "2": "n00000003", "3": "n00000004"}
    found = find(wordnet, classes, ["vehicle", "bike", "tandem", "rack"])
    assert found == {"bike": {CLASSES: {"2": "tandem", "3": "rack"}, OBJECTS: {"2": "bicycle"}}}


def test_meanings_of_the_shipped_labels_and_of_others() -> None:
    assert meanings(["motorcycle", "bicycle"], CLASSES) == {"motorcycle": (665, 670), "bicycle": (444, 671)}
    assert meanings(["bicycle", "truck"], OBJECTS) == {"bicycle": (2,), "truck": (8,)}
    assert meanings(["bicycle", "lizard"], OBJECTS) is None
    assert meanings(["bicycle", "cargo drone"], CLASSES) is None


def test_no_code_names_a_label() -> None:
    """Labels are data: of the recipe's default, of meanings.json and senses.json."""
    folder = Path(find_meanings.__file__).parents[1]
    for path in {*folder.glob("training/*.py"), *folder.glob("serving/*.py")} - {
        folder / "training/recipe.py"
    }:
        assert '"motorcycle"' not in path.read_text(encoding="utf-8"), path
