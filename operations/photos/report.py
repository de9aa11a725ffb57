"""Shows outcomes: one line for each photo as it comes, then a summary; for people or as JSON lines."""

import json
import sys
import time
from collections.abc import Iterable

from commandline.escapes import visible
from commandline.terminal import has_colour, plural, progress_bar
from operations.outcomes import OUTCOMES, painted
from operations.photos.outcome import Outcome, summarize

_PROBLEM = "PROBLEM"


def line(outcome: Outcome, *, colour: bool) -> str:
    """Return one photo for people: outcome, label, confidence, time, file, and the error below.

    Args:
        outcome: what became of the photo.
        colour: whether to colour the outcome.
    """
    word = _PROBLEM if outcome.problem else str(outcome.outcome)
    confidence = "" if outcome.confidence is None else f"{outcome.confidence:.3f}"
    shown = painted(word, colour=colour)
    file = visible(outcome.file)
    text = f"{shown} {outcome.label or '':<11} {confidence:>6} {outcome.seconds:>6.1f} s  {file}"
    error = outcome.problem or outcome.error
    return f"{text}\n{'':<15}{visible(error)}" if error else text


def show(outcomes: Iterable[Outcome], total: int, *, as_json: bool) -> list[Outcome]:
    """Print outcomes as they come, then the summary, even if they end with an error.

    Args:
        outcomes: what to show; consumed as it is shown.
        total: how many there will be.
        as_json: JSON lines on standard output, and a progress bar on standard error.

    Returns:
        All of them.
    """
    start = time.monotonic()
    seen: list[Outcome] = []
    colour = has_colour(sys.stdout)
    try:
        with progress_bar(total=total, title="classified", unit="photo", leave=False) as bar:
            for outcome in outcomes:
                seen.append(outcome)
                bar.clear()
                print(json.dumps(outcome.as_json()) if as_json else line(outcome, colour=colour), flush=True)
                bar.update()
    finally:
        numbers = summarize(seen, time.monotonic() - start) | {"photos": total}
        _print_summary(numbers, as_json=as_json)
    return seen


def _print_summary(numbers: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"summary": numbers}), flush=True)
        return
    counted = ", ".join(f"{numbers[name]} {name}" for name in OUTCOMES)
    lost = int(numbers["photos"]) - sum(int(numbers[name]) for name in OUTCOMES)
    without = f", {lost} without an outcome" if lost else ""
    photos = plural(int(numbers["photos"]), "photo")
    print(f"\n{photos} in {numbers['seconds']:.1f} s: {counted}{without}", flush=True)
