"""HEIC and AVIF are files of boxes (ISO/IEC 14496-12), pictures and metadata items in them (23008-12)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from errors import UnsupportedImage

if TYPE_CHECKING:
    from collections.abc import Iterator

ZERO_PADDING: Final = 8  # neither AV1 nor HEVC ends a picture with so many zero bytes
_MAX_BOXES: Final = 100_000
_MAX_EXTENTS: Final = 100_000  # in all; a phone's photo of 48 tiles has about 60
# Where an item's information says that it is EXIF: version, flags, number, protection.
_EXIF_ITEM: Final = re.compile(rb"infe(?:\x02.{7}|\x03.{9})(?=Exif)", re.DOTALL)
_CODED: Final = frozenset({b"av01", b"hvc1", b"hev1", b"avc1", b"vvc1", b"jpeg"})


@dataclass(slots=True)
class Items:
    """The items of a file.

    Attributes:
        kinds: the type of each item by its number.
        extents: where the data of each item begin and end in the file.
        read: how many extents were read.
    """

    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    read: int = 0


def prepared(content: bytes, brands: frozenset[bytes], brand: bytes) -> bytes:
    """Return a file that the decoder opens, without its EXIF data.

    A picture's turn is one of its properties. EXIF's is ignored, and reading all of EXIF may take gigabytes.

    Args:
        content: the file.
        brands: the major brands that the decoder knows.
        brand: the one to name instead of any other.

    Raises:
        UnsupportedImage: the data of a picture end in zeros, so the file is cut off.
    """
    items = _items(content)
    for number, kind in items.kinds.items():
        if kind in _CODED and any(_ends_in_zeros(content, *one) for one in items.extents.get(number, ())):
            raise UnsupportedImage("the image is cut off: a part of its picture is missing")
    prepared = bytearray(content)
    if content[8:12] not in brands:
        prepared[8:12] = brand
    for match in _EXIF_ITEM.finditer(content):
        prepared[match.end() : match.end() + 4] = b"skip"
    return bytes(prepared)


def _ends_in_zeros(content: bytes, start: int, end: int) -> bool:
    return end - start >= ZERO_PADDING and content[end - ZERO_PADDING : end] == bytes(ZERO_PADDING)


def _boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, begin of the data, and end of each box."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, header = int.from_bytes(content[start : start + 4], "big"), 8
        if size == 1:
            size, header = int.from_bytes(content[start + 8 : start + 16], "big"), 16
        stop = end if size == 0 else min(start + size, end)
        yield content[start + 4 : start + 8], start + header, stop
        start = max(stop, start + header)


def _items(content: bytes) -> Items:
    items = Items()
    for kind, start, end in _boxes(content, 0, len(content)):
        if kind == b"meta":
            for inner, begin, stop in _boxes(content, start + 4, end):
                if inner == b"iinf":
                    _read_kinds(content, begin, stop, items)
                elif inner == b"iloc":
                    _read_extents(content[begin:stop], items)
            break
    return items


def _read_kinds(content: bytes, start: int, end: int, items: Items) -> None:
    first = start + (6 if content[start : start + 1] == b"\x00" else 8)
    for kind, begin, _ in _boxes(content, first, end):
        if kind == b"infe" and content[begin : begin + 1] in {b"\x02", b"\x03"}:
            size = 2 if content[begin] == 2 else 4  # noqa: PLR2004 - the version
            number = int.from_bytes(content[begin + 4 : begin + 4 + size], "big")
            place = begin + 4 + size + 2
            items.kinds[number] = content[place : place + 4]


class _Reader:
    """Reads whole numbers one after the other; zero after the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def number(self, size: int) -> int:
        self.position += size
        return int.from_bytes(self.data[self.position - size : self.position], "big")


def _read_extents(data: bytes, items: Items) -> None:
    reader = _Reader(data)
    version = reader.number(4) >> 24
    sizes = reader.number(2)
    offset, length, base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2  # noqa: PLR2004 - the version
    for _ in range(reader.number(wide)):
        number = reader.number(wide)
        is_in_file = not version or reader.number(2) & 15 == 0
        reader.number(2)
        begin = reader.number(base)
        for _ in range(reader.number(2) if offset + length else 0):
            reader.number(index)
            start = begin + reader.number(offset)
            items.read += 1
            if (size := reader.number(length)) and is_in_file:
                items.extents.setdefault(number, []).append((start, start + size))
            if reader.position > len(data) or items.read > _MAX_EXTENTS:
                return
        if reader.position > len(data):
            return
