"""Shows outcomes: one line a photo as it comes, and a summary; for people or as JSON lines."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable

from tqdm import tqdm

from operations.photos.watcher import OUTCOMES, Outcome

_COLOURS = {"ACCEPTED": 32, "LOW_CONFIDENCE": 33, "REJECTED": 35, "FAILED": 31}
_PROBLEM = "PROBLEM"


def line(outcome: Outcome, *, colour: bool) -> str:
    """One photo for people: outcome, label, confidence, time, file, and the error below."""
    word = _PROBLEM if outcome.problem else str(outcome.outcome)
    shown = f"{word:<14}"
    if colour:
        shown = f"\x1b[{_COLOURS.get(word, 31)}m{shown}\x1b[0m"
    confidence = "" if outcome.confidence is None else f"{outcome.confidence:.3f}"
    text = f"{shown} {outcome.label or '':<11} {confidence:>6} {outcome.seconds:>6.1f} s  {outcome.file}"
    error = outcome.problem or outcome.error
    return f"{text}\n{'':<15}{error}" if error else text


def succeeded(outcomes: Iterable[Outcome]) -> bool:
    """Whether every photo reached an outcome that all places agree on, and none is FAILED."""
    return all(not o.problem and o.outcome in OUTCOMES and o.outcome != "FAILED" for o in outcomes)


def summary(outcomes: list[Outcome], seconds: float) -> dict[str, float]:
    """The numbers of the last line."""
    counts = Counter(outcome.outcome for outcome in outcomes)
    return {
        "photos": len(outcomes),
        **{name: counts[name] for name in OUTCOMES},
        "seconds": round(seconds, 3),
    }


def show(outcomes: Iterable[Outcome], total: int, *, as_json: bool) -> list[Outcome]:
    """Print outcomes as they come, then the summary.

    Args:
        outcomes: What to show; consumed as it is shown.
        total: How many there will be.
        as_json: JSON lines on standard output, and a progress bar on standard error.

    Returns:
        All of them.
    """
    start = time.monotonic()
    seen: list[Outcome] = []
    colour = sys.stdout.isatty()
    pause = 0.5 if sys.stderr.isatty() else 10  # a log needs no animation
    with tqdm(total=total, unit="photo", disable=not as_json, file=sys.stderr, mininterval=pause) as bar:
        for outcome in outcomes:
            seen.append(outcome)
            print(json.dumps(outcome.as_json()) if as_json else line(outcome, colour=colour), flush=True)
            bar.update()
    numbers = summary(seen, time.monotonic() - start)
    if as_json:
        print(json.dumps({"summary": numbers}), flush=True)
    else:
        counted = ", ".join(f"{numbers[name]} {name}" for name in OUTCOMES)
        lost = len(seen) - sum(int(numbers[name]) for name in OUTCOMES)
        without = f", {lost} without an outcome" if lost else ""
        print(f"\n{numbers['photos']} photos in {numbers['seconds']:.1f} s: {counted}{without}", flush=True)
    return seen
