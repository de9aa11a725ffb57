"""JPEG and PNG without what their pictures do not need, with the counts that bound what decoding costs.

Browsers show a photo whatever is wrong with its texts and makers' notes; Pillow raises at some of it.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from errors import UnsupportedImage

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SCANS: Final = 100  # of a JPEG: encoders make about ten, libtiff's limit is the same
MAX_SEGMENTS: Final = 10_000  # of a JPEG: a profile has up to 255, and few photos have a hundred
MAX_CHUNKS: Final = 100_000  # of a PNG: 25 MB in the smallest parts that encoders make, of 4 KB, have 6,000

_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_BARE: Final = frozenset({0x01, *range(0xD0, 0xDA)})  # markers without a segment
_PICTURE: Final = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDC, 0xDD, _SOS}) - {0xC8}
# What is kept of metadata, if it is so long: JFIF, a part of a profile, Adobe's transform, the first EXIF.
_METADATA: Final = {0xE0: (b"JFIF\x00", 14), 0xE2: (b"ICC_PROFILE\x00", 15), 0xEE: (b"Adobe", 12)}
# Pillow hands libjpeg parts of the file, and arithmetic coding needs it whole.
_UNREADABLE: Final = {0xF7: "JPEG-LS compression", **dict.fromkeys(range(0xC9, 0xD0), "arithmetic coding")}
_MARKER: Final = re.compile(rb"\xff[^\x00\xff]")
_SCAN_END: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_CHUNKS: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf", b"iCCP"})
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT"})  # the decoder judges them


class Jpeg(NamedTuple):
    """A JPEG without what its picture does not need, its number of scans, whether it has its end marker."""

    content: bytes
    scans: int
    has_end: bool


def read_jpeg(content: bytes) -> Jpeg:
    """Take a JPEG apart (ITU-T T.81, annex B); UnsupportedImage for what no camera writes."""
    kept, scans, marker, has_exif = [b"\xff\xd8"], 0, 0, False
    for marker, start, end in _segments(content):
        name, least = _METADATA.get(marker, (b"", len(content)))
        if marker in _UNREADABLE:
            raise UnsupportedImage(f"the JPEG image has {_UNREADABLE[marker]}, not supported: convert it")
        is_exif = marker == _APP1 and not has_exif and content.startswith(b"Exif\x00", start + 2)
        has_exif |= is_exif
        if (
            marker in _PICTURE
            or is_exif
            or (content.startswith(name, start + 2) and end - start - 2 >= least)
        ):
            kept.append(content[start - 2 : end])
        scans += marker == _SOS
    if scans > MAX_SCANS:
        raise UnsupportedImage(f"the JPEG image has {scans:,} scans, more than the limit of {MAX_SCANS}")
    return Jpeg(b"".join([*kept, b"\xff\xd9"]), scans, marker == _EOI)


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin (of the length) and end of each segment, a scan's with its data; at last EOI's."""
    position, has_scan = 2, False
    for _ in range(MAX_SEGMENTS):
        if not (match := _MARKER.search(content, position)):
            return
        marker, start = content[match.end() - 1], match.end()
        position = end = start + int.from_bytes(content[start : start + 2], "big")
        if marker == _EOI and has_scan:  # before a scan, it is the end of a thumbnail
            yield marker, start, start
            return
        if marker in _BARE or end < start + 2:
            position = start
            continue
        if end > len(content):
            return
        if marker == _SOS:
            has_scan, found = True, _SCAN_END.search(content, end)
            position = end = found.start() if found else len(content)
        yield marker, start, end
    raise UnsupportedImage(f"the JPEG image has more than {MAX_SEGMENTS:,} segments")


def read_png(content: bytes) -> bytes:
    """Return a PNG (https://www.w3.org/TR/png-3/) without texts and metadata of a wrong checksum."""
    kept, position = [content[:8]], 8
    for _ in range(MAX_CHUNKS):
        length, kind = content[position : position + 4], content[position + 4 : position + 8]
        chunk = content[position : position + 12 + int.from_bytes(length, "big")] if kind in _CHUNKS else b""
        position += 12 + int.from_bytes(length, "big")
        if kind in _CRITICAL or zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big"):
            kept.append(chunk)
        if kind == b"IEND" or position >= len(content):
            return b"".join([*kept, b"\x00\x00\x00\x00IEND\xaeB`\x82"])
    raise UnsupportedImage(f"the PNG image has more than {MAX_CHUNKS:,} chunks")
