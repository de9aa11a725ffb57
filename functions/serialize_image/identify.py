"""Tell what kind of file an upload is, by its content: a name's ending says nothing about it."""

from __future__ import annotations

import re
from typing import Final

from errors import UnsupportedImage

# Formats that are decoded, by Pillow's names.
READABLE: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF")

# The first bytes of each format. Order matters: the first match wins.
_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"(?:II\x2a\x00|MM\x00\x2a)....CR", "a Canon raw photo"),
    (rb"IIRO|IIRS|MMOR", "an Olympus raw photo"),
    (rb"IIU\x00", "a Panasonic raw photo"),
    (rb"FUJIFILMCCD-RAW", "a Fujifilm raw photo"),
    (rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]", "TIFF"),  # and BigTIFF
    # BITMAPFILEHEADER, then the size of one of the known DIB headers.
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "BMP"),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (rb"\x00\x00\x00\x0cJXL |\xff\x0a", "a JPEG XL image"),
    (rb"II\xbc\x01", "a JPEG XR image"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\x00\x00\x01\x00", "an icon (ICO)"),
    (rb"P[1-7]\s", "a Netpbm image"),
    (rb"qoif", "a QOI image"),
    (rb"%PDF", "a PDF document"),
    (rb"%!PS", "a PostScript document"),
    (rb"\x1aE\xdf\xa3", "a Matroska or WebM film"),
    (rb"RIFF....AVI ", "an AVI film"),
    (rb"RIFF....WAVE|ID3|OggS|fLaC", "a sound recording"),
    (rb"\x00\x00\x01[\xb3\xba]", "an MPEG film"),
    (rb"\x00\x00\x00\x01Bud1", "a folder's settings (.DS_Store)"),
    (rb"\x00\x05\x16\x07", "a file's metadata from macOS (._ file)"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE document (such as Thumbs.db)"),
    (rb"PK\x03\x04", "a ZIP archive or an Office document"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf", "a compressed archive"),
)
_COMPILED: Final = tuple((re.compile(pattern, re.DOTALL), kind) for pattern, kind in _SIGNATURES)

# Brands of the ISO base media file format (ISO/IEC 14496-12, registered at https://mp4ra.org).
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIF_BRANDS: Final = frozenset(
    {
        b"heic",
        b"heix",
        b"hevc",
        b"hevx",
        b"heim",
        b"heis",
        b"hevm",
        b"hevs",
        b"mif1",
        b"msf1",
        b"mif2",
        b"miaf",
    }
)
_ANY_CODEC: Final = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})  # the other brands tell which
_MARKUP: Final = (
    (re.compile(rb"<svg[\s>]", re.IGNORECASE), "an SVG drawing"),
    (re.compile(rb"<plist[\s>]", re.IGNORECASE), "a property list (such as the edits of a photo, AAE)"),
    (re.compile(rb"<(?:!doctype\s+)?html[\s>]", re.IGNORECASE), "an HTML page"),
    (re.compile(rb"<\?xml\s", re.IGNORECASE), "an XML document"),
)
_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e\x80-\xff]+\Z")
_PROBE: Final = 1024  # bytes that are looked at to recognise text


def identify(content: bytes) -> str:
    """Return the name of the format, one of `READABLE`.

    Args:
        content: the file's bytes.

    Raises:
        UnsupportedImage: the file is empty, or not in one of these formats; the message names what it is.
    """
    if not content:
        raise UnsupportedImage("the file is empty")
    kind = _kind(content)
    if kind in READABLE:
        return kind
    readable = ", ".join(READABLE)
    if kind:
        raise UnsupportedImage(f"the file is {kind}, not an image in one of the formats {readable}")
    raise UnsupportedImage(f"the file is not an image in one of the formats {readable}")


def _kind(content: bytes) -> str:
    for pattern, kind in _COMPILED:
        if pattern.match(content):
            return kind
    if content[4:8] == b"ftyp":
        return _media_kind(content)
    if content[4:8] in {b"moov", b"mdat", b"wide", b"free"}:
        return "a QuickTime film"
    head = content[:_PROBE]
    for pattern, kind in _MARKUP:
        if pattern.search(head):
            return kind
    return "a text" if _TEXT.match(head) else ""


def _media_kind(content: bytes) -> str:
    """Return what a file of the ISO base media file format contains, by its brands."""
    size = min(int.from_bytes(content[:4], "big"), _PROBE)
    brands = [content[8:12], *(content[start : start + 4] for start in range(16, size - 3, 4))]
    if brands[0] == b"crx ":
        return "a Canon raw photo"
    if brands[0] in _AVIF_BRANDS or (brands[0] in _ANY_CODEC and _AVIF_BRANDS.intersection(brands)):
        return "AVIF"
    if _HEIF_BRANDS.intersection(brands[:1]) or b"heic" in brands:
        return "HEIF"
    return "a QuickTime film" if brands[0] == b"qt  " else "a film (MP4)"
