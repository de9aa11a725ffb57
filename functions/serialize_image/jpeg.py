"""A JPEG without its metadata: what damage there cannot hinder, and what decoding it will cost.

Markers and segments: ITU-T T.81, annex B. Browsers show a photo whatever is wrong with its metadata; Pillow's
reader raises at some of it. So the metadata is read here, and the decoder gets the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from errors import ImageTooLarge, UnsupportedImage

SOI, EOI, SOS = b"\xff\xd8", b"\xff\xd9", 0xDA
MAX_SCANS: Final = 100  # encoders make about ten, libtiff's limit is the same
MAX_PROGRESSIVE_PIXELS: Final = 120_000_000  # whose coefficients, up to 6 bytes a pixel, are all in memory
ZERO_PADDING: Final = 16  # so many zero bytes end no scan
MAX_ICC_BYTES: Final = 4 << 20  # the largest profile of a printing press has about 3 MB

_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_ARITHMETIC: Final = frozenset(range(0xC9, 0xD0))
_KEPT: Final = _SOF | {0xC4, 0xCC, 0xDB, 0xDD, 0xDC, 0xDA}  # tables, frame, restart interval, scan
_APP1, _APP2, _APP14, _COM = 0xE1, 0xE2, 0xEE, 0xFE
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
# Ends the data of a scan: a marker that is neither a stuffed zero nor a restart.
# Without a repeat of 0xff, which may precede a marker: with it the search takes twenty times as long.
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_EXIF: Final = b"Exif\x00"
_ICC: Final = b"ICC_PROFILE\x00"


@dataclass(frozen=True, slots=True)
class Jpeg:
    """A JPEG's parts.

    Attributes:
        core: a JPEG of the same picture with no metadata but Adobe's colour transform.
        exif: the EXIF data without its header; empty if there is none.
        icc: the colour profile; empty if there is none, or it is damaged.
        scans: how many scans the picture has.
        progressive: whether decoding needs all coefficients at once.
    """

    core: bytes
    exif: bytes
    icc: bytes
    scans: int
    progressive: bool


class _Reader:
    """Collects the parts of one JPEG."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.core = [SOI]
        self.exif = b""
        self.icc: dict[int, bytes] = {}
        self.icc_parts = 0
        self.scans = 0
        self.size = (0, 0)
        self.progressive = False

    def read(self) -> None:
        position, seen_end = 2, False
        while not seen_end and (match := _MARKER.search(self.content, position)):
            marker, position = self.content[match.end() - 1], match.end()
            if marker == EOI[1]:
                seen_end = True
            elif marker not in _BARE:
                position = self._segment(marker, position)
        self.core.append(EOI if seen_end else b"")

    def _segment(self, marker: int, start: int) -> int:
        """Take in the segment that begins at `start`; return where the next marker is looked for."""
        length = int.from_bytes(self.content[start : start + 2], "big")
        end = start + length
        body = self.content[start + 2 : end]
        if marker in _KEPT:
            if marker == SOS:
                data_end = _scan_end(self.content, end)
                self.scans += 1
                self.core.append(b"\xff" + bytes([marker]) + _without_padding(self.content[start:data_end]))
                return data_end
            if marker in _SOF:
                self._frame(marker, body)
            self.core.append(b"\xff" + bytes([marker]) + self.content[start:end])
            return end
        # A length that does not lead to another marker is damaged: the next marker is searched from here.
        is_whole = length >= 2 and self.content[end : end + 1] == b"\xff"  # noqa: PLR2004 - the length itself
        if is_whole:
            self._metadata(marker, body)
        return end if is_whole else start

    def _frame(self, marker: int, body: bytes) -> None:
        if len(body) < 6 or self.size != (0, 0):  # noqa: PLR2004 - precision, height, width, components
            raise UnsupportedImage("the JPEG image has a damaged frame header")
        if marker in _ARITHMETIC:  # libjpeg needs the whole file at once for it, and Pillow hands it parts
            raise UnsupportedImage(
                "the JPEG image is compressed by arithmetic coding, which is not supported here: convert it"
            )
        self.size = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
        self.progressive = marker in _PROGRESSIVE

    def _metadata(self, marker: int, body: bytes) -> None:
        if marker == _APP1 and body.startswith(_EXIF) and not self.exif:
            self.exif = body[len(_EXIF) + 1 :]
        elif marker == _APP2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
            number, self.icc_parts = body[len(_ICC)], body[len(_ICC) + 1]
            self.icc.setdefault(number, body[len(_ICC) + 2 :])
        elif marker == _APP14 and body.startswith(b"Adobe"):  # tells how colours are encoded
            self.core.append(b"\xff\xee" + (len(body) + 2).to_bytes(2, "big") + body)


def read_jpeg(content: bytes, max_pixels: int) -> Jpeg:
    """Take a JPEG apart, and refuse what would be expensive to decode.

    Args:
        content: the file.
        max_pixels: images with more pixels (width times height) are refused.

    Raises:
        UnsupportedImage: there is no picture in it, or it has far more scans than any encoder makes.
        ImageTooLarge: it has too many pixels.
    """
    reader = _Reader(content)
    reader.read()
    width, height = reader.size
    if not reader.scans or not width or not height:
        raise UnsupportedImage("the JPEG image is cut off before its picture begins")
    limit = min(max_pixels, MAX_PROGRESSIVE_PIXELS) if reader.progressive else max_pixels
    if width * height > limit:
        kind = "progressive JPEG" if reader.progressive else "JPEG"
        raise ImageTooLarge(
            f"the image has {width:,} x {height:,} pixels, more than the limit of {limit:,} for a {kind}"
        )
    if reader.scans > MAX_SCANS:
        raise UnsupportedImage(
            f"the JPEG image has {reader.scans:,} scans, more than the limit of {MAX_SCANS}"
        )
    return Jpeg(
        core=b"".join(reader.core),
        exif=reader.exif,
        icc=_joined(reader.icc, reader.icc_parts),
        scans=reader.scans,
        progressive=reader.progressive,
    )


def _scan_end(content: bytes, start: int) -> int:
    """Return where the data of a scan ends: at a marker, or at the bytes 0xff that fill the space before."""
    found = _SCAN_END.search(content, start)
    end = found.start() if found else len(content)
    while found and end > start and content[end - 1] == 0xFF:  # noqa: PLR2004 - the filler
        end -= 1
    return end


def _without_padding(scan: bytes) -> bytes:
    """Return a scan without zeros at its end, which a decoder would take for a part of the picture.

    Interrupted transfers leave them. The data of a scan ends in bits that are one (T.81, F.1.2.3).
    """
    data = scan.rstrip(b"\x00")
    if len(scan) - len(data) < ZERO_PADDING:
        return scan
    return data + b"\x00" if data.endswith(b"\xff") else data


def _joined(parts: dict[int, bytes], count: int) -> bytes:
    """Return the profile of numbered parts; empty if one is missing or they are too large."""
    if sorted(parts) != list(range(1, count + 1)):
        return b""
    profile = b"".join(parts[number] for number in sorted(parts))
    return profile if len(profile) <= MAX_ICC_BYTES else b""


def with_filler(jpeg: Jpeg) -> bytes:
    """Return the JPEG with meaningless data between its last scan and its end.

    A decoder that already has all of the picture skips it. One that lacks a part takes it for that part, and
    shows something else than it does without. So two pictures that differ tell that the JPEG is cut off.
    """
    core = jpeg.core.removesuffix(EOI)
    # No 0xff, which would begin a marker; about a bit a pixel is enough to change the first missing block.
    return core + bytes([0x5A, 0xA5, 0x3C, 0xC3]) * 4096 + EOI
