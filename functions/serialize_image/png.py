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
MAX_CHUNKS: Final = 100_000  # 25 MB in the smallest parts that encoders make, of 4 KB, have 6,000
_RESUME_SHARE: Final = 4  # checksums behind a damaged length are of no more than so many times the file
_BLOCK: Final = 1 << 16
_HEADER: Final = 8  # length and type before a chunk's data
_CHECKSUM: Final = 4
_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_CRITICAL: Final = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_TYPE: Final = re.compile(rb"[A-Za-z]{4}\Z")
# Of each pass of an interlaced image: first column and row, then how far apart they are.
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
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
        packed: the compressed pixels.
        unpacked_size: how many bytes they unpack to if they are all there.
    """

    core: bytes
    colour_type: int
    depth: int
    colour_key: tuple[int, ...]
    exif: bytes
    icc: bytes
    packed: bytes
    unpacked_size: int


class _Reader:
    """Collects the parts of one PNG."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.core = [SIGNATURE]
        self.pixels: list[bytes] = []
        self.header = b""
        self.transparency = b""
        self.exif = b""
        self.icc = b""
        self.may_check = _RESUME_SHARE * len(content)

    def read(self) -> None:
        position, chunks = len(SIGNATURE), 0
        while position + _HEADER <= len(self.content):
            chunks += 1
            if chunks > MAX_CHUNKS:
                raise UnsupportedImage(f"the PNG image has more than {MAX_CHUNKS:,} chunks")
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

    def _leads_on(self, kind: bytes, end: int) -> bool:
        """Return whether a chunk's length leads to another chunk, or to the end of the file."""
        following = self.content[end + 4 : end + _HEADER]
        return bool(_TYPE.match(kind)) and (end == len(self.content) or bool(_TYPE.match(following)))

    def _resume(self, start: int) -> int:
        """Return where the picture goes on after a chunk whose length is damaged."""
        for match in _NEXT.finditer(self.content, start):
            begin = match.start() - 4
            end = match.end() + int.from_bytes(self.content[begin : begin + 4], "big") + _CHECKSUM
            if end > len(self.content):
                continue
            # A file can consist of beginnings of large chunks.
            self.may_check -= end - begin
            if self.may_check < 0:
                break
            if _is_intact(self.content[begin:end]):
                return begin
        return len(self.content)

    def _critical(self, kind: bytes, chunk: bytes) -> None:
        if not _is_intact(chunk):
            raise UnsupportedImage(f"the PNG image is damaged or cut off: checksum of {kind.decode()}")
        data = chunk[_HEADER:-_CHECKSUM]
        if kind == b"IDAT":
            self.pixels.append(data)
            return
        if kind == b"IHDR":
            if self.header:
                return
            self.header = data
        self.core.append(chunk)

    def _ancillary(self, kind: bytes, chunk: bytes) -> None:
        if kind not in {b"tRNS", b"eXIf", b"iCCP"} or not _is_intact(chunk):
            return
        data = chunk[_HEADER:-_CHECKSUM]
        if kind == b"eXIf":
            self.exif = self.exif or data
        elif kind == b"iCCP":
            self.icc = self.icc or data
        elif self.header[9:10] == bytes([PALETTE]):
            self.core.append(chunk)
        else:
            self.transparency = data


def read_png(content: bytes) -> Png:
    """Take a PNG apart.

    Args:
        content: the file, which begins with `SIGNATURE`.

    Raises:
        UnsupportedImage: it has no complete header, a critical chunk is damaged, or it has far more chunks
            than any encoder makes.
    """
    reader = _Reader(content)
    reader.read()
    if len(reader.header) != 13:  # noqa: PLR2004 - width, height, depth, colour type and three methods
        raise UnsupportedImage("the PNG image has no complete header (IHDR)")
    depth, colour_type = reader.header[8], reader.header[9]
    count = {GREY: 1, RGB: 3}.get(colour_type, 0)
    samples = reader.transparency[: 2 * count] if len(reader.transparency) >= 2 * count else b""
    packed = b"".join(reader.pixels)
    # In one chunk, because the decoder takes its time for each. A picture whose pixels are all there needs no
    # IEND; one whose pixels are not is refused in any case.
    pixels = _chunk(b"IDAT", packed)
    return Png(
        core=b"".join((*reader.core, *pixels, _END)),
        colour_type=colour_type,
        depth=depth,
        colour_key=tuple(int.from_bytes(samples[i : i + 2], "big") for i in range(0, len(samples), 2)),
        exif=reader.exif,
        icc=_inflated_profile(reader.icc),
        packed=packed,
        unpacked_size=_unpacked_size(reader.header),
    )


def has_all_pixels(image: Png) -> bool:
    """Return whether the compressed pixels are as many as the header says, by unpacking them."""
    decompressor, missing = zlib.decompressobj(), image.unpacked_size
    packed = memoryview(image.packed)
    for start in range(0, len(packed), _BLOCK):
        waiting: bytes | memoryview = packed[start : start + _BLOCK]
        while waiting and missing > 0 and not decompressor.eof:
            missing -= len(decompressor.decompress(waiting, 16 * _BLOCK))
            waiting = decompressor.unconsumed_tail
    return missing <= 0 or missing <= len(decompressor.flush())


def _unpacked_size(header: bytes) -> int:
    """Return the bytes of all rows, each with one for its filter."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits = header[8] * {GREY: 1, RGB: 3, PALETTE: 1, 4: 2}.get(header[9], 4)
    size = 0
    for left, top, step_x, step_y in _ADAM7 if header[12] else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        size += max(0, rows) * (1 + (columns * bits + 7) // 8) if columns > 0 else 0
    return size


def _chunk(kind: bytes, data: bytes) -> tuple[bytes, ...]:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return len(data).to_bytes(4, "big"), kind, data, checksum.to_bytes(4, "big")


def _is_intact(chunk: bytes) -> bool:
    return zlib.crc32(memoryview(chunk)[4:-_CHECKSUM]) == int.from_bytes(chunk[-_CHECKSUM:], "big")


def _inflated_profile(data: bytes) -> bytes:
    """Return the profile of an iCCP chunk: name, zero, compression method, compressed profile."""
    _, _, packed = data.partition(b"\x00")
    decompressor = zlib.decompressobj()
    try:
        profile = decompressor.decompress(packed[1:], MAX_ICC_BYTES)
    except zlib.error:
        return b""
    return b"" if decompressor.unconsumed_tail else profile
