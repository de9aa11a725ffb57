"""Files that several processes use: written in one step, and locks that their holder cannot forget."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

from commandline.polling import PollingTimeoutError, Rhythm, poll

_PATIENCE_S: Final = 1.0


def take_lock(path: Path) -> IO[str] | None:
    """Take a lock; return its open file, which has this process's id, or None if another process holds it.

    It is held for as long as the file is open: the operating system releases it, however the process ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Whoever asks for the holder takes the lock for an instant.
        file = poll(
            lambda: _try(path),
            until=lambda taken: taken is not None,
            timeout_seconds=_PATIENCE_S,
            rhythm=Rhythm(shortest_pause=0.05, longest_pause=0.05),
        )
    except PollingTimeoutError:
        return None
    if file is not None:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file


def lock_holder(path: Path) -> int | None:
    """Return the id of the process that holds a lock, or None; creates nothing."""
    if not path.exists():
        return None
    file = _try(path)
    if file is None:
        return int(path.read_text() or 0) or None
    file.close()
    return None


def _try(path: Path) -> IO[str] | None:
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def replace_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a text file of this user's in one step; a reader sees the old content or the new."""
    new = path.with_suffix(path.suffix + ".new")
    new.touch(0o600)
    try:
        with new.open("w", encoding="utf-8") as file:
            file.writelines([text] if isinstance(text, str) else text)
        new.replace(path)
    except OSError:  # the disk is full
        new.unlink(missing_ok=True)
        raise
