"""Progress of waiting on SageMaker: what it is doing, and for how long."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from commandline.terminal import progress_bar


class Progress(Protocol):
    """Takes what a command is waiting for; `waiting_bar` shows it to people."""

    def __call__(self, status: str, seconds: float) -> None:
        """Take a status, and the seconds since the waiting began."""


def quiet(status: str, seconds: float) -> None:
    """Show nothing: for callers from Python."""


def ignore(text: str) -> None:
    """Show no notice: for callers from Python."""


@contextmanager
def waiting_bar(title: str, usual_seconds: float) -> Iterator[Progress]:
    """Show the status and the seconds on standard error, if that is a terminal.

    SageMaker reports no percentage, so the bar runs against the time that such a step usually takes, and
    stretches when it takes longer.

    Args:
        title: what is waited for.
        usual_seconds: how long it usually takes.
    """
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
