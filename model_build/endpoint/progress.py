"""A progress bar for waiting on SageMaker: what it is doing, and for how long."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_build.endpoint.waiter import Progress


@contextmanager
def tqdm_progress(title: str, usual_seconds: float) -> Iterator[Progress]:
    """Shows the status and the seconds on stderr.

    SageMaker tells no percentage, so the bar runs against the time that such a step usually takes, and
    stretches when it takes longer.

    Args:
        title: what is waited for.
        usual_seconds: how long it usually takes.
    """
    with tqdm(
        total=usual_seconds,
        desc=title,
        bar_format="{desc}: {postfix} |{bar}| {n:.0f} s (usually {total:.0f} s)",
        leave=False,
    ) as bar:

        def show(status: str, seconds: float) -> None:
            bar.total = max(usual_seconds, seconds)
            bar.n = seconds
            bar.set_postfix_str(status, refresh=True)

        yield show
