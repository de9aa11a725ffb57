"""Files that several processes use: written in one step, and locks that their holder cannot forget."""

import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

_PAUSE_S: Final = 0.05
_ATTEMPTS: Final = 20


def take_lock(path: Path) -> IO[str] | None:
    """Take a lock; return its open file, which has this process's id, or None if another process holds it.

    It is held for as long as the file is open: the operating system releases it, however the process ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS):  # whoever asks for the holder takes the lock for an instant
        if file := _try(path):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        time.sleep(_PAUSE_S)
    return None


def lock_holder(path: Path) -> int | None:
    """Return the id of the process that holds a lock, or None; creates nothing."""
    if not path.exists():
        return None
    if file := _try(path):
        file.close()
        return None
    return int(path.read_text() or 0) or None


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
