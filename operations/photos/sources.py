"""Which photos to send, and under which keys."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from commandline.errors import UsageError
from commandline.terminal import plural, visible

PREFIX: Final = "incoming/"
_MAX_KEY_BYTES: Final = 1024
"""S3's limit for a key in UTF-8."""
_NAMED: Final = 3
# Formats of photos, those included that the workflow refuses by name (raw photos, JPEG XL, ...).
_PHOTO: Final = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"
    rb"|II[*+]\0|MM\0[*+]|II\xbc\x01|IIU\0|IIR[OS]|MMOR|FUJIFILMCCD-RAW"
    rb"|\0\0\0\x0c(?:jP  |JXL )|\xff\x0a|\xff\x4f\xff\x51"
    rb"|....ftyp(?:avi[fs]|he[iv][cmsx]|mif[12]|msf1|miaf|crx )",
    re.DOTALL,
)
_FIRST_BYTES: Final = 32


@dataclass(frozen=True)
class Photo:
    """A file, its name relative to the folder that was given, and its key in the photo bucket."""

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
    """The photos in what a user named, and what was left out of them."""

    photos: list[Photo] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def find_photos(paths: Sequence[Path], prefix: str = PREFIX, *, every_file: bool = False) -> Found:
    """Find the photos to send: each file, and of each folder and its subfolders what begins as a photo does.

    A file's key is its name; a folder's photos keep its name and their paths in it, so that photos of two
    folders never share a key. A number is added to a key that is taken. Links are followed. What begins with
    a dot is left out of folders. UsageError if there is no photo in them, or a file cannot be read.
    """
    found = Found()
    for path in paths:
        if path.is_dir():
            name = path.resolve().name
            below = prefix if every_file or not name else f"{prefix}{name}/"
            _add_folder(found, path, below, every_file=every_file)
        elif reason := _unreadable(path):  # such as a pipe, which would be waited for
            raise UsageError(f"{path}: {reason}")
        else:
            found.photos.append(Photo(str(path), path, prefix + path.name))
    if not found.photos:
        named = ", ".join(map(str, paths))
        raise UsageError("; ".join([f"there are no photos in {named}", *found.skipped[:_NAMED]]))
    taken: set[str] = set()
    for place, photo in enumerate(found.photos):
        key, number = photo.key, 1
        stem, suffix = os.path.splitext(photo.key)  # noqa: PTH122 - a key is not a path
        while key in taken:
            number += 1
            key = f"{stem}-{number}{suffix}"
        taken.add(key)
        found.photos[place] = replace(photo, key=key)
    return found


def _add_folder(found: Found, folder: Path, prefix: str, *, every_file: bool) -> None:
    others: list[Path] = []
    for path in sorted(_walk(folder, found.skipped), key=lambda path: path.relative_to(folder).as_posix()):
        relative = path.relative_to(folder).as_posix()
        if reason := _unreadable(path):
            found.skipped.append(f"skipped {visible(str(path))}: {reason}")
        elif every_file or _begins_as_a_photo(path):
            found.photos.append(Photo(relative, path, prefix + relative))
        else:
            others.append(path)
    if others:
        named = ", ".join(visible(path.relative_to(folder).as_posix()) for path in others[:_NAMED])
        more = ", ..." if len(others) > _NAMED else ""
        is_no = "is no photo by its first bytes" if len(others) == 1 else "are no photos by their first bytes"
        found.skipped.append(
            f"left out {plural(len(others), 'file')} of {folder} that {is_no}: {named}{more}"
        )


def _begins_as_a_photo(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(_PHOTO.match(file.read(_FIRST_BYTES)))
    except OSError:
        return True  # the upload shows why


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
