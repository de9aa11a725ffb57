"""Uploads that are no photos by their very name: what file managers and consoles leave beside photos."""

from __future__ import annotations

from typing import Final

from errors import UnsupportedImage

_LEFT_BY_SYSTEMS: Final = {
    ".DS_Store": "a folder's settings from macOS",
    "Thumbs.db": "a folder's thumbnails from Windows",
    "desktop.ini": "a folder's settings from Windows",
}


def check(key: str) -> None:
    """Refuse an object that its key tells is no photo, before anything is read.

    Args:
        key: the object's key.

    Raises:
        UnsupportedImage: the key names a folder or a file that a system leaves in folders.
    """
    name = key.rsplit("/", 1)[-1]
    if not name:
        raise UnsupportedImage(f"{key} is a folder")
    if name in _LEFT_BY_SYSTEMS:
        raise UnsupportedImage(f"{key} is {_LEFT_BY_SYSTEMS[name]}")
    if name.startswith("._"):
        raise UnsupportedImage(f"{key} is a file's metadata from macOS")
