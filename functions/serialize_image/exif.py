"""The one fact of a photo's EXIF data that matters here: how to turn it upright.

Its directory is that of a TIFF: https://exif.org/Exif2-2.PDF, 4.6.2. It is read by hand, because a reader of
all of it copies what each tag points at, and a file may have thousands of tags that point at the same bytes.
"""

from __future__ import annotations

from typing import Final, Literal

UPRIGHT: Final = 1
_ORIENTATIONS: Final = range(1, 9)
_TAG: Final = 0x0112
_ENTRY: Final = 12
_MAX_TAGS: Final = 1000  # cameras write about twenty
_SIZES: Final = {1: 1, 3: 2, 4: 4}  # of the types of whole numbers: BYTE, SHORT, LONG


def orientation(exif: bytes) -> int:
    """Return EXIF's orientation (1 to 8); 1 if it says none. XMP is not asked, as browsers do not ask it.

    Args:
        exif: the data, with or without the header `Exif`.
    """
    data = exif.removeprefix(b"Exif\x00\x00")
    order = _byte_order(data)
    if not order:
        return UPRIGHT
    start = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[start : start + 2], order)
    for position in range(start + 2, start + 2 + _ENTRY * min(count, _MAX_TAGS), _ENTRY):
        entry = data[position : position + _ENTRY]
        if len(entry) == _ENTRY and int.from_bytes(entry[:2], order) == _TAG:
            size = _SIZES.get(int.from_bytes(entry[2:4], order), 0)
            value = int.from_bytes(entry[8 : 8 + size], order)
            return value if value in _ORIENTATIONS else UPRIGHT
    return UPRIGHT


def _byte_order(data: bytes) -> Literal["little", "big", ""]:
    if data.startswith(b"II\x2a\x00"):
        return "little"
    return "big" if data.startswith(b"MM\x00\x2a") else ""
