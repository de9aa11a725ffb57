"""ministack's state is saved when it is asked for too, not only when ministack is stopped.

A process that is killed saves nothing. `UNSAVED` tells that from a clean end: it stands beside the state
while ministack runs, and goes when everything has been saved at the end.
"""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

UNSAVED: Final = "unsaved"
SAVE: Final = signal.SIGUSR1
"""Saves the state; ministack takes no other signal for it."""


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack import app  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.core import persistence  # type: ignore[import-untyped]  # noqa: PLC0415

    states = getattr(app, "_build_persistence_save_dict", None)
    if not callable(states) or getattr(app, "save_all", None) is not persistence.save_all:
        raise IncompatibleMinistackError("the state is saved in another way")
    save: Callable[[Mapping[str, Any]], None] = app.save_all
    kept = persistence.PERSIST_STATE
    signal.signal(SAVE, lambda *_: save(states()) if kept else None)
    if kept:
        app.save_all = noted(save, Path(persistence.STATE_DIR).parent / UNSAVED)


def noted(save: Callable[[Mapping[str, Any]], None], marker: Path) -> Callable[[Mapping[str, Any]], None]:
    """Write a marker; return a function that saves and then removes it."""
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()

    def save_and_note(services: Mapping[str, Any]) -> None:
        save(services)
        marker.unlink(missing_ok=True)

    return save_and_note
