"""A JPEG without its metadata: what damage there cannot hinder, and what decoding it will cost.

Markers and segments: ITU-T T.81, annex B. Browsers show a photo whatever is wrong with its metadata; Pillow's
reader raises at some of it. So the metadata is read here, and the decoder gets the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from errors import ImageTooLarge, UnsupportedImage

SOI, EOI, SOS, DHT, DQT = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xC4, 0xDB
MAX_SCANS: Final = 100  # encoders make about ten, libtiff's limit is the same
MAX_PROGRESSIVE_PIXELS: Final = 120_000_000  # whose coefficients, up to 6 bytes a pixel, are all in memory
MAX_SCANNED_PIXELS: Final = 20 * MAX_PROGRESSIVE_PIXELS  # of all scans, each of which visits every pixel
MAX_SEGMENTS: Final = 10_000  # a profile has up to 255, and few photos have a hundred
ZERO_PADDING: Final = 16  # so many zero bytes end few scans
MAX_ICC_BYTES: Final = 4 << 20  # the largest profile of a printing press has about 3 MB

_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
# libjpeg needs the whole file at once for arithmetic coding, and Pillow hands it parts.
_NOT_SUPPORTED: Final = {
    **dict.fromkeys(range(0xC9, 0xD0), "is compressed by arithmetic coding"),
    **dict.fromkeys(range(0xC5, 0xC8), "is hierarchical"),
    0xF7: "is a JPEG-LS image",
}
_KEPT: Final = _SOF | {DHT, 0xCC, DQT, 0xDD, 0xDC, SOS}  # tables, frame, restart interval, scan
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_OF_SEGMENTS: Final = _KEPT | frozenset(range(0xE0, 0xF0)) | {0xFE}
_FILL: Final = 0xFF  # begins a marker, and may be repeated before it
# Ends the data of a scan: a marker that is neither a stuffed zero nor a restart.
# Without a repeat of 0xff, which may precede a marker: with it the search takes twenty times as long.
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_EXIF: Final = b"Exif\x00"
_ICC: Final = b"ICC_PROFILE\x00"
# What libjpeg must have of them to heed them: it takes the colours of a JFIF file for YCbCr.
_JFIF: Final = b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_ADOBE_LENGTH: Final = 12
_COEFFICIENTS: Final = 64  # of a block
_UNSENT: Final = 255  # more bits than a coefficient has


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG's parts.

    Attributes:
        core: a JPEG of the same picture with no metadata but what tells how colours are encoded.
        exif: the EXIF data without its header; empty if there is none.
        icc: the colour profile; empty if there is none, or it is damaged.
        scans: how many scans the picture has.
        progressive: whether decoding needs all coefficients at once.
        zeros: how many zero bytes after the last scan are left out of the core.
    """

    core: bytes
    exif: bytes
    icc: bytes
    scans: int
    progressive: bool
    zeros: int


class _Picture:
    """What frame and scans say of the picture."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self.components = self.scans = 0
        self.is_progressive = False
        self.is_buffered = False
        self.lacks_tables = False
        self.tables: set[tuple[int, int]] = set()
        self.quantization: dict[int, int] = {}
        # Of each component, how many low bits of each coefficient were not sent.
        self.unsent: dict[int, list[int]] = {}

    def add_frame(self, marker: int, body: bytes) -> None:
        # Precision, height, width, and how many components follow, of three bytes each.
        if self.components or len(body) < 6 or len(body) < 6 + 3 * body[5]:  # noqa: PLR2004
            raise UnsupportedImage("the JPEG image has a damaged frame header")
        if body[0] != 8:  # noqa: PLR2004 - all that Pillow reads
            raise UnsupportedImage(
                f"the JPEG image has {body[0]} bits a sample, and 8 are supported here: convert it"
            )
        self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        self.is_progressive, self.components = marker in _PROGRESSIVE, body[5]
        for place in range(6, 6 + 3 * self.components, 3):
            self.quantization[body[place]] = body[place + 2]
            self.unsent[body[place]] = [_UNSENT] * _COEFFICIENTS

    def add_tables(self, marker: int, body: bytes) -> None:
        place = 0
        while place < len(body):
            if marker == DQT:
                self.tables.add((DQT, body[place] & 15))
                place += 129 if body[place] >> 4 else 65
            else:
                self.tables.add((DHT, body[place]))
                place += 17 + sum(body[place + 1 : place + 17])

    def add_scan(self, body: bytes) -> None:
        count = body[0] if body else 0
        if len(body) < 4 + 2 * count:
            raise UnsupportedImage("the JPEG image has a damaged scan header")
        first, last, low = body[1 + 2 * count], body[2 + 2 * count], body[3 + 2 * count] & 15
        if not self.is_progressive:
            first, last, low = 0, _COEFFICIENTS - 1, 0
        if not self.scans:  # libjpeg decides it by the first
            self.is_buffered = self.is_progressive or count < self.components
        self.scans += 1
        if self.scans > MAX_SCANS:
            return
        for place in range(1, 1 + 2 * count, 2):
            component, tables = body[place], body[place + 1]
            needed = {(DQT, self.quantization.get(component, -1))}
            if not self.is_progressive:
                needed |= {(DHT, tables >> 4), (DHT, 16 | tables & 15)}
            self.lacks_tables |= not needed <= self.tables
            if component in self.unsent:
                sent = range(first, min(last, _COEFFICIENTS - 1) + 1)
                self.unsent[component][first : first + len(sent)] = [low] * len(sent)

    @property
    def lacks_average(self) -> bool:
        """Whether the average of blocks, DC, is missing or inexact."""
        return any(bits[0] for bits in self.unsent.values())

    @property
    def lacks_detail(self) -> bool:
        """Whether any bit of any coefficient is missing."""
        return any(any(bits) for bits in self.unsent.values())


class _Reader:
    """Collects the parts of one JPEG.

    A segment whose length does not lead to a marker is damaged. Decoders look for the next marker behind it;
    from its beginning, a thumbnail in it would be taken for the photo. `trusting` does as they do.
    """

    def __init__(self, content: bytes, *, trusting: bool) -> None:
        self.content = content
        self.trusting = trusting
        self.core = [SOI]
        self.exif = b""
        self.icc: dict[int, bytes] = {}
        self.icc_parts = 0
        self.picture = _Picture()
        self.core_end = 0
        self.has_end = False  # right after the picture: interrupted transfers leave zeros between
        self.is_damaged = False
        self.refusal = ""

    def read(self) -> None:
        try:
            self._segments()
        except UnsupportedImage as exc:
            self.refusal = str(exc)

    @property
    def is_sound(self) -> bool:
        return not self.refusal and self.picture.scans > 0 and not self.picture.lacks_tables

    def _segments(self) -> None:
        position = 2
        for _ in range(MAX_SEGMENTS):
            match = _MARKER.search(self.content, position)
            if not match:
                return
            gap, marker, position = match.start() - position, self.content[match.end() - 1], match.end()
            if marker == EOI[1] and self.picture.scans:  # before a scan, it is the end of a thumbnail
                self.has_end = gap < ZERO_PADDING
                return
            if marker != EOI[1] and marker not in _BARE:
                position = self._segment(marker, position)
        raise UnsupportedImage(f"the JPEG image has more than {MAX_SEGMENTS:,} segments")

    def _segment(self, marker: int, start: int) -> int:
        """Take in the segment that begins at `start`; return where the next marker is looked for."""
        if marker in _NOT_SUPPORTED:
            raise UnsupportedImage(
                f"the JPEG image {_NOT_SUPPORTED[marker]}, which is not supported here: convert it"
            )
        end = start + self._length(start)
        if end < start + 2 or end > len(self.content):
            self.is_damaged = True
            return start
        if marker in _KEPT:
            return self._kept(marker, start, end)
        # Copied only if it is whole: a file can consist of beginnings of large segments.
        if end == len(self.content) or self.content[end] == _FILL:
            self._metadata(marker, self.content[start + 2 : end])
            return end
        self.is_damaged = True
        if not self.trusting:
            return start
        self._metadata(marker, self.content[start + 2 : end])
        return self._near(start, end)

    def _length(self, start: int) -> int:
        return int.from_bytes(self.content[start : start + 2], "big")

    def _near(self, start: int, end: int) -> int:
        """Return where a segment begins shortly before `end`, and leads on to another; `end` if none does."""
        for place in range(max(start + 2, end - 4), end):
            begins = self.content[place] == _FILL and self.content[place + 1] in _OF_SEGMENTS
            follows = place + 2 + self._length(place + 2)
            if begins and self.content[follows : follows + 1] == b"\xff":
                return place
        return end

    def _kept(self, marker: int, start: int, end: int) -> int:
        body = self.content[start + 2 : end]
        next_start = end
        if marker == SOS:
            self.picture.add_scan(body)
            next_start = _scan_end(self.content, end)
        elif marker in _SOF:
            self.picture.add_frame(marker, body)
        elif marker in {DQT, DHT}:
            self.picture.add_tables(marker, body)
        self.core.append(b"\xff" + bytes([marker]) + self.content[start:next_start])
        if marker == SOS:
            self.core_end = len(self.core)
        return next_start

    def _metadata(self, marker: int, body: bytes) -> None:
        if marker == _APP1 and body.startswith(_EXIF) and not self.exif:
            self.exif = body[len(_EXIF) + 1 :]
        elif marker == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
            number, self.icc_parts = body[len(_ICC)], body[len(_ICC) + 1]
            self.icc.setdefault(number, body[len(_ICC) + 2 :])
        elif marker == _APP0 and body.startswith(_JFIF[:5]) and len(body) >= len(_JFIF):
            self._keep(marker, _JFIF)
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= _ADOBE_LENGTH:
            self._keep(marker, body[:_ADOBE_LENGTH])

    def _keep(self, marker: int, body: bytes) -> None:
        self.core.append(b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body)

    def without_padding(self) -> tuple[bytes, int]:
        """Return the core up to its last scan, without zeros at its end, and how many they were.

        Interrupted transfers leave them. Most scans end in bits that are one (T.81, F.1.2.3).
        """
        core = b"".join(self.core[: self.core_end])
        data = core.rstrip(b"\x00")
        zeros = len(core) - len(data)
        # The first may belong to the data.
        return (core, 0) if zeros < ZERO_PADDING else (data + b"\x00", zeros - 1)


def read_jpeg(content: bytes, max_pixels: int) -> Jpeg:
    """Take a JPEG apart, and refuse what would be expensive to decode.

    Args:
        content: the file.
        max_pixels: images with more pixels (width times height) are refused.

    Raises:
        UnsupportedImage: there is no picture in it, a part of it is missing, it is of a kind that the decoder
            cannot read, or it has far more segments or scans than any encoder makes.
        ImageTooLarge: it has too many pixels.
    """
    reader = _read(content)
    picture = reader.picture
    if reader.refusal:
        raise UnsupportedImage(reader.refusal)
    if not picture.scans or not picture.width or not picture.height:
        raise UnsupportedImage("the JPEG image is cut off before its picture begins")
    _check_cost(picture, max_pixels)
    core, zeros = reader.without_padding()
    # A JPEG may end before all detail is sent. One without an end was cut off unless it has everything.
    is_ended = reader.has_end and not zeros
    if picture.lacks_average if is_ended else picture.lacks_detail:
        raise UnsupportedImage("the JPEG image is cut off: a part of its picture is missing")
    return Jpeg(
        core=core + EOI,
        exif=reader.exif,
        icc=_joined(reader.icc, reader.icc_parts),
        scans=picture.scans,
        progressive=picture.is_buffered,
        zeros=zeros,
    )


def _read(content: bytes) -> _Reader:
    trusting = _Reader(content, trusting=True)
    trusting.read()
    if trusting.is_sound or not trusting.is_damaged:
        return trusting
    # A length that is too large hid a part of the picture.
    doubting = _Reader(content, trusting=False)
    doubting.read()
    return doubting if doubting.is_sound else trusting


def _check_cost(picture: _Picture, max_pixels: int) -> None:
    if picture.scans > MAX_SCANS:
        raise UnsupportedImage(
            f"the JPEG image has {picture.scans:,} scans, more than the limit of {MAX_SCANS}"
        )
    kind, limit = "JPEG", max_pixels
    if picture.is_buffered:
        kind = "progressive JPEG" if picture.is_progressive else "JPEG of several scans"
        in_memory = MAX_PROGRESSIVE_PIXELS * 3 // max(3, picture.components)
        limit = min(limit, in_memory, MAX_SCANNED_PIXELS // picture.scans)
    if picture.width * picture.height > limit:
        raise ImageTooLarge(
            f"the image has {picture.width:,} x {picture.height:,} pixels, "
            f"more than the limit of {limit:,} for a {kind}"
        )


def _scan_end(content: bytes, start: int) -> int:
    """Return where the data of a scan ends: at a marker, or at the bytes 0xff that fill the space before."""
    found = _SCAN_END.search(content, start)
    end = found.start() if found else len(content)
    while end > start and content[end - 1] == _FILL:
        end -= 1
    return end


def _joined(parts: dict[int, bytes], count: int) -> bytes:
    """Return the profile of numbered parts; empty if one is missing or they are too large."""
    if sorted(parts) != list(range(1, count + 1)):
        return b""
    profile = b"".join(parts[number] for number in sorted(parts))
    return profile if len(profile) <= MAX_ICC_BYTES else b""


def with_filler(core: bytes) -> bytes:
    """Return a core with meaningless data between its last scan and its end.

    A decoder that already has all of the picture skips it. One that lacks a part takes it for that part, and
    shows something else than it does without. So two pictures that differ tell that the JPEG is cut off.
    """
    # No 0xff, which would begin a marker; about a bit a pixel is enough to change the first missing block.
    return core.removesuffix(EOI) + bytes([0x5A, 0xA5, 0x3C, 0xC3]) * 4096 + EOI


def with_zeros(jpeg: Jpeg, count: int) -> bytes:
    """Return the core with so many of the zeros that are left out of it."""
    return jpeg.core.removesuffix(EOI) + bytes(count) + EOI
