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
WORDS: Final = {  # first what needs a person
    "LOW_CONFIDENCE": "Needs a look",
    "FAILED": "Failed",
    NO_OUTCOME: "No outcome",
    "REJECTED": "Not usable",
    "ACCEPTED": "Accepted",
}


@dataclass(frozen=True)
class Card:
    """A photo's outcome, `NO_OUTCOME` if there is none; a thumbnail as data URI, or why there is none."""

    outcome: Outcome
    kind: str
    image: str
    steps: Sequence[Step]
    missing: str = ""


def make_card(outcome: Outcome, path: Path, steps: Sequence[Step]) -> Card:
    """Return a photo's card."""
    kind = outcome.outcome if outcome.outcome in OUTCOMES and not outcome.problem else NO_OUTCOME
    try:
        return Card(outcome, str(kind), thumbnail(path), steps)
    except CannotBeShownError as error:
        return Card(outcome, str(kind), "", steps, str(error))
    except OSError:
        return Card(outcome, str(kind), "", steps, "the file cannot be read")


def thumbnail(path: Path) -> str:
    """Return a small JPEG of a photo as a data URI; a CannotBeShownError says why there is none."""
    if path.stat().st_size > MOST_BYTES:
        raise CannotBeShownError(f"the file is larger than {MOST_BYTES // 2**20} MiB")
    small = jpeg(path.read_bytes(), THUMBNAIL_SIDE)
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
    kinds = [kind for kind in WORDS if kind in OUTCOMES or counts[kind]]
    return templates.get_template("outcomes.html.j2").render(
        cards=sorted(cards, key=lambda card: [*WORDS].index(card.kind)),
        counts=[(kind, counts[kind]) for kind in kinds],
        words=WORDS,
        total=plural(len(cards), "photo"),
        stack_name=stack_name,
        threshold=threshold,
        made=f"{now:%Y-%m-%d %H:%M %Z}".strip(),
        labels=_labels(cards),
    )


def _labels(cards: Iterable[Card]) -> list[tuple[str, int]]:
    counts = Counter(card.outcome.label for card in cards if card.kind == "ACCEPTED" and card.outcome.label)
    return sorted(counts.items())
