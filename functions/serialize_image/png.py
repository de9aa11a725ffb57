"""A PNG without its ancillary chunks: what damage there cannot hinder.

Chunks: https://www.w3.org/TR/png-3/. Browsers show a picture whose pixels are whole whatever is wrong with
its metadata; Pillow raises. So the metadata that matters is read here, and the decoder gets the picture.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Final

from errors import UnsupportedImage

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_ICC_BYTES: Final = 4 << 20
GREY, RGB, PALETTE = 0, 2, 3  # colour types
_HEADER: Final = 8  # length and type before a chunk's data
_CHECKSUM: Final = 4
_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_TYPE: Final = re.compile(rb"[A-Za-z]{4}\Z")
_NEXT: Final = re.compile(rb"PLTE|IDAT|IEND|tRNS")


@dataclass(frozen=True, slots=True)
class Png:
    """A PNG's parts.

    Attributes:
        core: a PNG of the same picture with its critical chunks, and the transparency of a palette, only.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
        depth: bits a sample.
        colour_key: the samples of the transparent colour, one (grey) or three (RGB); empty if there is none.
        exif: the EXIF data; empty if there is none.
        icc: the colour profile; empty if there is none, or it is damaged.
    """

    core: bytes
    colour_type: int
    depth: int
    colour_key: tuple[int, ...]
    exif: bytes
    icc: bytes


class _Reader:
    """Collects the parts of one PNG."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.core = [SIGNATURE]
        self.header = b""
        self.transparency = b""
        self.exif = b""
        self.icc = b""

    def read(self) -> None:
        position = len(SIGNATURE)
        while position + _HEADER <= len(self.content):
            length = int.from_bytes(self.content[position : position + 4], "big")
            kind = self.content[position + 4 : position + _HEADER]
            end = position + _HEADER + length + _CHECKSUM
            if kind == b"IEND":
                break
            if kind in _CRITICAL:
                self._critical(kind, self.content[position:end])
                position = end
            elif self._leads_on(kind, end):
                self._ancillary(kind, self.content[position:end])
                position = end
            else:
                position = self._resume(position + _HEADER)
        # A picture whose pixels are all there needs no IEND; one whose pixels are not is refused in any case.
        self.core.append(_END)

    def _leads_on(self, kind: bytes, end: int) -> bool:
        """Return whether a chunk's length leads to another chunk, or to the end of the file."""
        following = self.content[end + 4 : end + _HEADER]
        return bool(_TYPE.match(kind)) and (end == len(self.content) or bool(_TYPE.match(following)))

    def _resume(self, start: int) -> int:
        """Return where the picture goes on after a chunk whose length is damaged."""
        for match in _NEXT.finditer(self.content, start):
            begin = match.start() - 4
            end = match.end() + int.from_bytes(self.content[begin : begin + 4], "big") + _CHECKSUM
            if end <= len(self.content) and _is_intact(self.content[begin:end]):
                return begin
        return len(self.content)

    def _critical(self, kind: bytes, chunk: bytes) -> None:
        if not _is_intact(chunk):
            raise UnsupportedImage(f"the PNG image is damaged or cut off: checksum of {kind.decode()}")
        self.core.append(chunk)
        if kind == b"IHDR" and not self.header:
            self.header = chunk[_HEADER:-_CHECKSUM]

    def _ancillary(self, kind: bytes, chunk: bytes) -> None:
        if kind not in {b"tRNS", b"eXIf", b"iCCP"} or not _is_intact(chunk):
            return
        data = chunk[_HEADER:-_CHECKSUM]
        if kind == b"eXIf":
            self.exif = data
        elif kind == b"iCCP":
            self.icc = _inflated_profile(data)
        elif self.header[9:10] == bytes([PALETTE]):
            self.core.append(chunk)
        else:
            self.transparency = data


def read_png(content: bytes) -> Png:
    """Take a PNG apart.

    Args:
        content: the file, which begins with `SIGNATURE`.

    Raises:
        UnsupportedImage: it has no complete header, or a critical chunk is damaged.
    """
    reader = _Reader(content)
    reader.read()
    if len(reader.header) != 13:  # noqa: PLR2004 - width, height, depth, colour type and three methods
        raise UnsupportedImage("the PNG image has no complete header (IHDR)")
    depth, colour_type = reader.header[8], reader.header[9]
    count = {GREY: 1, RGB: 3}.get(colour_type, 0)
    samples = reader.transparency[: 2 * count] if len(reader.transparency) >= 2 * count else b""
    return Png(
        core=b"".join(reader.core),
        colour_type=colour_type,
        depth=depth,
        colour_key=tuple(int.from_bytes(samples[i : i + 2], "big") for i in range(0, len(samples), 2)),
        exif=reader.exif,
        icc=reader.icc,
    )


def _is_intact(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-_CHECKSUM]) == int.from_bytes(chunk[-_CHECKSUM:], "big")


def _inflated_profile(data: bytes) -> bytes:
    """Return the profile of an iCCP chunk: name, zero, compression method, compressed profile."""
    _, _, packed = data.partition(b"\x00")
    decompressor = zlib.decompressobj()
    try:
        profile = decompressor.decompress(packed[1:], MAX_ICC_BYTES)
    except zlib.error:
        return b""
    return b"" if decompressor.unconsumed_tail else profile
