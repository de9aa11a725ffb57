"""A TIFF or BigTIFF without its metadata: what damage there cannot hinder, and what decoding it will cost.

Directory, tags and types: TIFF revision 6.0, section 2; BigTIFF: https://www.awaresystems.be/imaging/tiff/bigtiff.html.
Readers copy what each tag points at, and a file may have thousands of tags that point at the same bytes. So
the decoder gets a directory of the first page's picture only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from errors import ImageTooLarge, UnsupportedImage

MAX_TAGS: Final = 65_535  # a TIFF cannot have more, a BigTIFF has no reason to
MAX_PIECES: Final = 1 << 18  # strips and tiles: Pillow takes about 300 bytes of memory for each
MAX_ICC_BYTES: Final = 4 << 20
MAX_DEPTH: Final = 16

_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 11: 4, 12: 8, 16: 8}
_WHOLE_NUMBERS: Final = frozenset({1, 3, 4, 16})  # BYTE, SHORT, LONG, LONG8
_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, _FORMAT = 273, 322, 323, 324, 339
_ICC: Final = 34675
# Numbers that say how the picture is stored, and the orientation (274).
_NUMBERS: Final = frozenset(
    {
        _WIDTH,
        _LENGTH,
        _BITS,
        _COMPRESSION,
        _PHOTOMETRIC,
        266,
        _STRIP_OFFSETS,
        274,
        277,
        278,
        279,
        284,
        292,
        293,
    }
    | {317, 320, _TILE_WIDTH, _TILE_LENGTH, _TILE_OFFSETS, 325, 332, 338, _FORMAT}
    | {512, 513, 514, 515, 517, 518, 519, 520, 521, 530}
)
_KEPT: Final = _NUMBERS | {_ICC, 347, 529, 532}  # tables of JPEG, coefficients and range of YCbCr
_WHITE_IS_ZERO: Final = 0
_SIGNED, _FLOAT = 2, 3
_UNREADABLE: Final = {
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of a DNG",
    34933: "PNG",
    34934: "JPEG XR",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


@dataclass(frozen=True, slots=True)
class Tiff:
    """A TIFF's first page.

    Attributes:
        core: a TIFF of the same picture whose directory has no metadata but orientation and colour profile.
        depth: bits a sample.
        inverted: whether zero is white, and the decoder does not care.
    """

    core: bytes
    depth: int
    inverted: bool


class _Directory:
    """The first directory of a TIFF: its entries by tag, as they are in the file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.order: Literal["little", "big"] = "little" if content.startswith(b"II") else "big"
        is_big = self._number(2, 2) == 43  # noqa: PLR2004 - the version of BigTIFF
        self.word = 8 if is_big else 4  # bytes of an offset, of a count of values, and of values in an entry
        self.count_size = 8 if is_big else 2  # bytes of the count of entries
        self.header = 8 if is_big else 4  # where the directory's offset is
        self.entries: dict[int, bytes] = {}

    def _number(self, start: int, size: int) -> int:
        return int.from_bytes(self.content[start : start + size], self.order)

    def read(self) -> None:
        """Collect the entries that matter, the first of each tag."""
        start = self._number(self.header, self.word)
        count = self._number(start, self.count_size)
        if count > MAX_TAGS:
            raise UnsupportedImage(f"the TIFF image has {count:,} tags, more than the limit of {MAX_TAGS:,}")
        size = 4 + 2 * self.word
        first = start + self.count_size
        total = 0
        for position in range(first, min(first + count * size, len(self.content) - size + 1), size):
            entry = self.content[position : position + size]
            tag = int.from_bytes(entry[:2], self.order)
            if tag in _KEPT and tag not in self.entries and self._is_sound(tag, entry):
                self.entries[tag] = entry
                total += self._size(entry)
        if total > len(self.content):
            raise UnsupportedImage("the TIFF image is damaged: its tags have more data than the file")

    def _size(self, entry: bytes) -> int:
        """Return how many bytes the values of an entry have."""
        count = int.from_bytes(entry[4 : 4 + self.word], self.order)
        return count * _SIZES.get(int.from_bytes(entry[2:4], self.order), 0)

    def _is_sound(self, tag: int, entry: bytes) -> bool:
        """Return whether an entry's values are in the file, and of a type that its tag may have."""
        if tag in _NUMBERS and int.from_bytes(entry[2:4], self.order) not in _WHOLE_NUMBERS:
            return False
        size = self._size(entry)
        begin = 0 if size <= self.word else int.from_bytes(entry[4 + self.word :], self.order)
        return 0 < size <= len(self.content) - begin and (tag != _ICC or size <= MAX_ICC_BYTES)

    def numbers(self, tag: int, default: int, most: int = 8) -> list[int]:
        """Return the values of a tag, the first few."""
        entry = self.entries.get(tag)
        if not entry:
            return [default]
        each = _SIZES[int.from_bytes(entry[2:4], self.order)]
        values = entry[4 + self.word :]
        if self._size(entry) > self.word:
            begin = int.from_bytes(values, self.order)
            values = self.content[begin : begin + each * most]
        count = min(int.from_bytes(entry[4 : 4 + self.word], self.order), most)
        return [int.from_bytes(values[each * i : each * (i + 1)], self.order) for i in range(count)]

    def pieces(self) -> int:
        """Return how many strips or tiles the picture has."""
        entries = [self.entries[tag] for tag in (_STRIP_OFFSETS, _TILE_OFFSETS) if tag in self.entries]
        return max((int.from_bytes(entry[4 : 4 + self.word], self.order) for entry in entries), default=0)

    def rewritten(self) -> bytes:
        """Return the file with these entries as its only directory, after everything else."""
        end = self.header + self.word
        padding = bytes(-len(self.content) % 8)
        place = len(self.content) + len(padding)
        return b"".join(
            [
                self.content[: self.header],
                place.to_bytes(self.word, self.order),
                self.content[end:],
                padding,
                len(self.entries).to_bytes(self.count_size, self.order),
                *self.entries.values(),
                bytes(self.word),  # no further page
            ]
        )


def read_tiff(content: bytes, max_pixels: int) -> Tiff:
    """Take a TIFF apart, and refuse what would be expensive to decode or be shown wrongly.

    Args:
        content: the file, which begins with a signature.
        max_pixels: tiles with more pixels (width times height) are refused.

    Raises:
        UnsupportedImage: it is damaged, or of a variant that cannot be shown; the message names it.
        ImageTooLarge: its tiles, however small the picture is, have too many pixels.
    """
    directory = _Directory(content)
    directory.read()
    _check_variant(directory)
    _check_cost(directory, max_pixels)
    (depth, *others) = directory.numbers(_BITS, 1)
    (photometric, *_) = directory.numbers(_PHOTOMETRIC, _WHITE_IS_ZERO)
    inverted = photometric == _WHITE_IS_ZERO and depth == MAX_DEPTH and not others
    return Tiff(directory.rewritten(), depth, inverted)


def _check_cost(directory: _Directory, max_pixels: int) -> None:
    if _WIDTH not in directory.entries or _LENGTH not in directory.entries:
        raise UnsupportedImage("the TIFF image is damaged or cut off: it has no width and height")
    width, length = directory.numbers(_TILE_WIDTH, 0)[0], directory.numbers(_TILE_LENGTH, 0)[0]
    if width * length > max_pixels:
        raise ImageTooLarge(
            f"the image has tiles of {width:,} x {length:,} pixels, more than the limit of {max_pixels:,}"
        )
    if directory.pieces() > MAX_PIECES:
        raise UnsupportedImage(
            f"the TIFF image has {directory.pieces():,} strips or tiles, more than {MAX_PIECES:,}"
        )


def _check_variant(directory: _Directory) -> None:
    """Refuse what Pillow does not read, or shows with wrong brightness."""
    formats, depths = directory.numbers(_FORMAT, 1), directory.numbers(_BITS, 1)
    (compression, *_) = directory.numbers(_COMPRESSION, 1)
    variant = ""
    if directory.content.startswith(b"MM\x00\x2b"):
        variant = "is a BigTIFF whose bytes are in big-endian order"
    elif _FLOAT in formats:
        variant = "has samples of floating point"
    elif _SIGNED in formats:
        variant = "has samples with a sign"
    elif max(depths) > MAX_DEPTH:
        variant = f"has samples of {max(depths)} bits"
    elif compression in _UNREADABLE:
        variant = f"is compressed by {_UNREADABLE[compression]}"
    if variant:
        raise UnsupportedImage(f"the TIFF image {variant}, which is not supported here: convert it")
