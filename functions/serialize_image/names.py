"""Files that lie beside photos and that sync clients upload with them: refused by their key, unread."""

from __future__ import annotations

from typing import Final

from errors import UnsupportedImage

BESIDE: Final = "beside photos"
"""Begins each of these refusals; by it the template's CompanionsMetric keeps them out of the alarm."""
# All in lower case: systems disagree about the case of what they write.
FOLDERS: Final = {
    "in a recycle bin": "#recycle @recycle $recycle.bin recycler recycled trash",
    "in a system's own folder": "@eadir @__thumb @tmp #snapshot ~snapshot __macosx lost+found",
}
ENDINGS: Final = {
    "a film": ".mov .mp4 .m4v .3gp .avi .mkv .webm .mts .m2ts .mpg .wmv .lrv .insv",
    "a photo's companion, not a photo": ".aae .json .xmp .xml .thm",
    "a folder's settings or thumbnails": ".db .ini .info",
    "an unfinished or temporary file": ".tmp .part .partial .crdownload .download .filepart .!sync ~",
}
_HIDDEN: Final = (".", "~$", "~syncthing~")
# A photo whose name is empty but for its ending: a form's mistake, and still a driver's photo.
_NAMELESS: Final = (".jpg", ".jpeg", ".png", ".heic", ".heif", ".webp", ".avif")


def check(key: str) -> None:
    """Refuse a key of a folder, or of a hidden, deleted or system file; `BESIDE` begins the message."""
    *folders, name = key.casefold().split("/")
    if kind := _kind(folders, name):
        raise UnsupportedImage(f"{BESIDE}: {key} is {kind}")


def _kind(folders: list[str], name: str) -> str:
    if not name:
        return "a folder"
    for kind, reserved in FOLDERS.items():
        if not set(reserved.split()).isdisjoint(folders):
            return kind
    for kind, endings in ENDINGS.items():
        if name.endswith(tuple(endings.split())):
            return kind
    hidden = any(part.startswith(_HIDDEN) and part.strip(".") for part in (*folders, name))
    return "hidden" if hidden and name not in _NAMELESS else ""
