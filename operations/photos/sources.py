"""Which photos to send, and under which keys."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from commandline.errors import UsageError
from commandline.escapes import visible

PREFIX: Final = "incoming/"
_MAX_KEY_BYTES: Final = 1024
"""S3's limit for a key in UTF-8."""


@dataclass(frozen=True)
class Photo:
    """A file and where it goes.

    Attributes:
        name: as the user knows it: relative to the folder that was given.
        path: the file.
        key: its key in the photo bucket.
    """

    name: str
    path: Path
    key: str

    def problem(self) -> str:
        """Return why S3 does not take this key; empty if it does."""
        try:
            size = len(self.key.encode())
        except UnicodeEncodeError:
            return "UnusableName: the file's name is not valid UTF-8, which an S3 key must be"
        if size > _MAX_KEY_BYTES:
            return f"UnusableName: the key has {size} bytes, and S3 takes {_MAX_KEY_BYTES}"
        return ""


@dataclass
class Found:
    """The photos in what a user named, and what was left out of them.

    Attributes:
        photos: in the order in which they were named; in a folder, by name.
        skipped: one text for each thing that is not a file or cannot be read.
    """

    photos: list[Photo] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def find_photos(paths: Sequence[Path], prefix: str = PREFIX) -> Found:
    """Find the files to send: each file, and all files of each folder and its subfolders.

    A file's key is its name, a folder's files keep their paths relative to the folder; a number is added to a
    key that is taken. Links are followed. Files and folders that begin with a dot are left out of folders.

    Args:
        paths: files and folders that exist.
        prefix: what the keys start with.

    Raises:
        UsageError: there is no photo in them.
    """
    found = Found()
    for path in paths:
        if path.is_dir():
            photos, skipped = _in_folder(path, prefix)
            found.photos += photos
            found.skipped += skipped
        else:
            found.photos.append(Photo(str(path), path, prefix + path.name))
    if not found.photos:
        named = ", ".join(map(str, paths))
        raise UsageError("\n".join([f"there are no photos in {named}", *found.skipped]))
    found.photos = list(_with_keys_of_their_own(found.photos))
    return found


def _in_folder(folder: Path, prefix: str) -> tuple[list[Photo], list[str]]:
    photos: list[Photo] = []
    skipped: list[str] = []
    for path in _walk(folder, skipped):
        reason = _unreadable(path)
        if reason:
            skipped.append(f"skipped {visible(str(path))}: {reason}")
        else:
            relative = path.relative_to(folder).as_posix()
            photos.append(Photo(relative, path, prefix + relative))
    return sorted(photos, key=lambda photo: photo.name), skipped


def _walk(folder: Path, skipped: list[str]) -> Iterator[Path]:
    """Yield what is in a folder and, through links too, in its subfolders; no folder twice."""
    seen = {folder.resolve()}

    def note(error: OSError) -> None:
        skipped.append(f"skipped {visible(str(error.filename))}: {error.strerror}")

    for top, folders, names in os.walk(folder, followlinks=True, onerror=note):
        below = []
        for name in sorted(folders):
            inner = Path(top, name)
            real = inner.resolve()
            if name.startswith("."):
                continue
            if real in seen:
                skipped.append(
                    f"skipped {visible(str(inner))}: it leads to {visible(str(real))}, which is read already"
                )
                continue
            seen.add(real)
            below.append(name)
        folders[:] = below
        yield from (Path(top, name) for name in names if not name.startswith("."))


def _unreadable(path: Path) -> str:
    """Return why a directory entry is not a file that can be sent; empty if it can."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        return (
            f"the link leads to {path.readlink()}, which does not exist" if path.is_symlink() else str(error)
        )
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISREG(mode):
        return "not a file"
    return "" if os.access(path, os.R_OK) else "it may not be read"


def _with_keys_of_their_own(photos: Iterable[Photo]) -> Iterator[Photo]:
    taken: set[str] = set()
    for photo in photos:
        key, number = photo.key, 1
        stem, suffix = os.path.splitext(photo.key)  # noqa: PTH122 - a key is not a path
        while key in taken:
            number += 1
            key = f"{stem}-{number}{suffix}"
        taken.add(key)
        yield Photo(photo.name, photo.path, key)
