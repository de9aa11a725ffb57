"""What is shown on a terminal: texts from outside, colours, progress bars, and counts in words."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import click

from commandline.errors import UsageError

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")
# What ends lines, moves the cursor, or turns the direction of writing: Unicode's Cc, Zl, Zp and Bidi_Control.
# And surrogates, which a file's name has for bytes that are no UTF-8: no file can be written with them.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str, *, kept: str = "") -> str:
    r"""Return a text from outside with what a terminal would obey as escapes, such as `\x1b`."""
    return _CONTROL.sub(
        lambda found: found[0] if found[0] in kept else found[0].encode("unicode_escape").decode(), text
    )


def say(text: str) -> None:
    """Print to standard error: progress and news for a person; standard output carries results only."""
    print(visible(text, kept="\n"), file=sys.stderr, flush=True)


def confirm(what: str) -> None:
    """Ask whether to do what cannot be undone; UsageError if the answer is no, or nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError(f"{what[:1].lower()}{what[1:]}; give --yes to do so without being asked")
    if not click.confirm(f"{visible(what)}. Continue?", err=True):
        raise UsageError("nothing was changed")


def has_colour(stream: IO[str]) -> bool:
    """Return whether to colour what goes to a stream (https://no-color.org, and TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def progress(items: Iterable[Item], *, total: int | None = None, title: str, unit: str) -> Iterator[Item]:
    """Yield the items under a progress bar on standard error, if that is a terminal."""
    yield from progress_bar(total=total, title=title, unit=unit, iterable=items)


def progress_bar(*, total: float | None, title: str, unit: str, **options: Any) -> "tqdm[Any]":
    """Return a progress bar on standard error, disabled where that is no terminal that can redraw a line."""
    from tqdm import tqdm  # noqa: PLC0415 - most commands need none

    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return tqdm(total=total, desc=title, unit=unit, disable=not shown, **options)


@contextmanager
def waiting_bar(title: str, usual_seconds: float) -> Iterator[Callable[[str, float], None]]:
    """Show status and seconds against the usual time, for work of which nobody knows the percentage."""
    with progress_bar(
        total=usual_seconds,
        title=title,
        unit="s",
        bar_format="{desc}: {postfix} |{bar}| {n:.0f} s (usually {total:.0f} s)",
        leave=False,
    ) as bar:

        def show(status: str, seconds: float) -> None:
            bar.total = max(usual_seconds, seconds)
            bar.n = seconds
            bar.set_postfix_str(status, refresh=True)

        yield show


def print_lines(lines: Iterable[str]) -> int:
    """Print results as they come; return how many."""
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the count is what is wanted
        print(line)
    return count


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 photo`, `2 photos`, `1,000 photos`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
