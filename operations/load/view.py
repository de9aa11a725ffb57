"""What `operations load` shows on a terminal while it runs."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from commandline.terminal import shows_progress
from operations.outcomes import OUTCOMES

if TYPE_CHECKING:
    from operations.load.run import Account

_COLOURS: Final = dict(zip(OUTCOMES, ("green", "yellow", "magenta", "red"), strict=True))
_BAR: Final = 30  # characters
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"
_LATEST: Final = 48  # photos whose latency is drawn


class View:
    """Shows an account while it grows; the last photo is due at `until`, in seconds since 1970."""

    def __init__(self, title: str, photos: int, until: float) -> None:
        self._title, self._photos, self._until = title, photos, until

    def on_terminal(self) -> AbstractContextManager[Live | None]:
        """Return the live display on standard error; None is entered where that is not a terminal."""
        if not shows_progress():
            return nullcontext()
        return Live(console=Console(stderr=True), transient=True, auto_refresh=False)

    def panel(self, account: "Account") -> Panel:
        """Draw an account: how far it is, its outcomes, and the latencies."""
        summary = account.summary()
        photos, sent = len({uri for uri, _ in account.due}), summary["sent"]
        recorded, left = len(account.records), max(0, round(self._until - time.time()))
        head = Table.grid(padding=(0, 1))
        head.add_row(
            "sent", f"{photos:,} of {self._photos:,} photos", _bar(photos, self._photos), f"{left} s left"
        )
        head.add_row("recorded", f"{recorded:,} of {sent:,} versions", _bar(recorded, sent))
        rows = Table.grid(padding=(0, 1))
        for name, count in summary["outcomes"].items():
            rows.add_row(
                Text(name, style=_COLOURS[name]), f"{count:,}", _bar(count, recorded, _COLOURS[name])
            )
        shown = [f"{name} {_seconds(summary[f'{name}_s'])}" for name in ("p50", "p95", "p99", "max")]
        lines = [
            Text("from due to recorded: " + ", ".join(shown)),
            Text(sparkline(account.latencies()[-_LATEST:])),
        ]
        if summary["unsent"]:
            lines.append(
                Text(f"not sent: {summary['unsent']:,}; the last: {account.unsent[-1]}", style="red")
            )
        return Panel(Group(head, "", rows, "", *lines), title=self._title, title_align="left")


def sparkline(values: Sequence[float]) -> str:
    """Draw values from zero to the largest, a character each."""
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    return "".join(
        _HEIGHTS[min(int(max(value, 0) / top * len(_HEIGHTS)), len(_HEIGHTS) - 1)] for value in values
    )


def _bar(part: int, whole: int, colour: str = "cyan") -> ProgressBar:
    return ProgressBar(max(whole, 1), part, width=_BAR, complete_style=colour, finished_style=colour)


def _seconds(value: Any) -> str:
    return "?" if value is None else f"{value:.2f} s"
