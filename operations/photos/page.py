"""The outcomes of a run of photos as one HTML file: no scripts, nothing loaded from elsewhere."""

import base64
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import jinja2

from commandline.terminal import plural
from operations.outcomes import OUTCOMES
from operations.photos.outcome import Outcome
from operations.photos.pictures import MOST_BYTES, CannotBeShownError, jpeg
from operations.photos.steps import Step

THUMBNAIL_SIDE: Final = 224
NO_OUTCOME: Final = "NO_OUTCOME"
_MEANINGS: Final = {
    "ACCEPTED": "classified",
    "LOW_CONFIDENCE": "a person must look",
    "REJECTED": "not a usable photo",
    "FAILED": "the machinery did not work",
    NO_OUTCOME: "no outcome was found",
}


@dataclass(frozen=True)
class Card:
    """A photo's outcome, `NO_OUTCOME` if there is none; a thumbnail as data URI, empty if there is none."""

    outcome: Outcome
    kind: str
    image: str
    steps: Sequence[Step]


def make_card(outcome: Outcome, path: Path, steps: Sequence[Step]) -> Card:
    """Return a photo's card."""
    kind = outcome.outcome if outcome.outcome in OUTCOMES and not outcome.problem else NO_OUTCOME
    return Card(outcome, str(kind), thumbnail(path), steps)


def thumbnail(path: Path) -> str:
    """Return a small JPEG of a photo as a data URI; empty if it cannot be shown."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return ""
        small = jpeg(path.read_bytes(), THUMBNAIL_SIDE)
    except (CannotBeShownError, OSError):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(small).decode("ascii")


def outcomes_page(cards: Sequence[Card], *, stack_name: str, threshold: float | None, now: datetime) -> str:
    """Return the page."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("operations.photos"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    counts = Counter(card.kind for card in cards)
    kinds = [kind for kind in (*OUTCOMES, NO_OUTCOME) if kind in OUTCOMES or counts[kind]]
    return templates.get_template("outcomes.html.j2").render(
        cards=cards,
        counts=[(kind, counts[kind], _MEANINGS[kind]) for kind in kinds],
        total=plural(len(cards), "photo"),
        stack_name=stack_name,
        threshold=threshold,
        made=f"{now:%Y-%m-%d %H:%M %Z}".strip(),
        labels=_labels(cards),
    )


def _labels(cards: Iterable[Card]) -> list[tuple[str, int]]:
    counts = Counter(card.outcome.label for card in cards if card.kind == "ACCEPTED" and card.outcome.label)
    return sorted(counts.items())
