"""Which outputs of the pretrained networks mean a label: `meanings.json`.

The file knows the classes of CIFAR-100 and CIFAR-10; add a label of your own by hand, with the numbers of its
classes and objects.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("meanings.json")
IMAGENET: Final = "classes"  # of ImageNet-1k, 0 to 999
COCO: Final = "objects"  # 1 to 90

# Classes of ImageNet that move on a few wheels as well, by their names. Without them kick scooters and
# wheelchairs pass for bicycles and motorcycles, of which the classifier finds a little in them.
WHEELED: Final = {
    428: "barrow",
    573: "go-kart",
    575: "golfcart",
    603: "horse cart",
    612: "jinrikisha",
    621: "lawn mower",
    690: "oxcart",
    791: "shopping cart",
    830: "stretcher",
    870: "tricycle",
    880: "unicycle",
}
CYCLES: Final = {"bicycle", "motorcycle"}


def meanings(labels: Sequence[str], kind: str) -> dict[str, tuple[int, ...]] | None:
    """Return the indices of outputs by label; None if a label has no such meaning."""
    known: dict[str, dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["labels"]
    found = {label: tuple(int(number) for number in known.get(label, {}).get(kind, {})) for label in labels}
    return found if all(found.values()) else None


def confusable(labels: Sequence[str]) -> tuple[int, ...] | None:
    """Return ImageNet's classes that are easily confused with labels; None if none are known."""
    return tuple(WHEELED) if CYCLES.intersection(labels) else None
