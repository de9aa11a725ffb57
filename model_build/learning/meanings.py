"""Which outputs of the pretrained networks mean a label: `meanings.json`.

The file knows the classes of CIFAR-100 and CIFAR-10 (`provenance/find_meanings.py`); add a label of your own
by hand, with the numbers of its classes and objects.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("meanings.json")
IMAGENET: Final = "classes"  # of ImageNet-1k, 0 to 999
COCO: Final = "objects"  # 1 to 90

Outputs = Mapping[str, tuple[int, ...]]


def meanings(labels: Sequence[str], kind: str) -> Outputs | None:
    """Return the indices of outputs by label; None if a label has no such meaning."""
    known: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["labels"]
    found = {label: tuple(int(number) for number in known.get(label, {}).get(kind, {})) for label in labels}
    return found if all(found.values()) else None
