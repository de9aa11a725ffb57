"""Refuse what is no photo: by its key what lies beside photos, unread; by its content everything else."""

from __future__ import annotations

import re
from typing import Final

from errors import UnsupportedImage

# Formats that are decoded, by Pillow's names.
READABLE: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF")

_RAW: Final = "a raw photo: export it as JPEG"
# The first bytes of each format. Order matters: the first match wins.
_SIGNATURES: Final = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"(?:II\x2a\x00|MM\x00\x2a)....(?:CR|IIII|MMMM)|II\x1a\x00\x00\x00HEAP", _RAW),
    (rb"IIRO|IIRS|MMOR|IIU\x00|FUJIFILMCCD-RAW|\x00MRM|FOVb", _RAW),
    (rb"II[\x2a\x2b]\x00|MM\x00[\x2a\x2b]", "TIFF"),  # and BigTIFF
    # BITMAPFILEHEADER, then the size of one of the known DIB headers.
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "BMP"),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (rb"\x00\x00\x00\x0cJXL |\xff\x0a", "a JPEG XL image"),
    (rb"II\xbc\x01", "a JPEG XR image"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\x00\x00\x01\x00", "an icon (ICO)"),
    (rb"P[1-7]\s", "a Netpbm image"),
    (rb"%PDF", "a PDF document"),
    (rb"%!PS", "a PostScript document"),
    (rb"\x1aE\xdf\xa3|RIFF....AVI |\x00\x00\x01[\xb3\xba]|.{4}(?:moov|mdat|wide|free)", "a film"),
    (rb"RIFF....WAVE|ID3|OggS|fLaC", "a sound recording"),
    (rb"\x00\x00\x00\x01Bud1", "a folder's settings (.DS_Store)"),
    (rb"\x00\x05\x16\x07", "a file's metadata from macOS (._ file)"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE document (such as Thumbs.db)"),
    (rb"PK\x03\x04", "a ZIP archive or an Office document"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf", "a compressed archive"),
    # Mistakes of programs that upload: the request instead of the file in it, or the file as text.
    (rb"\s*--[^\n]+\n(?:[\w-]+:[^\n]*\n)*?(?i:content-disposition:)", "a web form with its boundaries"),
    (rb"[0-9a-f]+;chunk-signature=", "an upload to S3 with its chunk signatures"),
    (rb"HTTP/\d", "an HTTP message with its headers"),
    (rb"\s*\"?(?:data:image/|/9j/|iVBORw0KGgo|UklGR|R0lGOD)", "an image in base64: upload its bytes"),
    (rb"\xef\xbf\xbd(?:\xef\xbf\xbd|PNG)", "an image that was converted as if it were text"),
    (rb"(?s:.{0,1024}?)<(?i:svg)[\s>]", "an SVG drawing"),
    (rb"(?s:.{0,1024}?)<plist[\s>]", "a property list (such as the edits of a photo, AAE)"),
    (rb"(?s:.{0,1024}?)<(?i:html|!doctype\s+html)[\s>]", "an HTML page"),
    (rb"(?s:.{0,1024}?)<\?xml\s", "an XML document"),
    (rb"\xff\xfe|\xfe\xff", "a text in UTF-16"),
    (rb"[\t\n\r\x20-\x7e\x80-\xff]{1,1024}\Z", "a text"),
)

# Brands of the ISO base media file format (ISO/IEC 14496-12, registered at https://mp4ra.org).
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_ANY_CODEC: Final = frozenset({b"mif1", b"msf1", b"mif2", b"miaf"})  # the other brands tell which
_HEIF_BRANDS: Final = _ANY_CODEC | {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_PROBE: Final = 1024  # bytes that are looked at

# Files that lie beside photos and that sync clients upload with them.
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


def check_key(key: str) -> None:
    """Refuse a key of a folder, or of a hidden, deleted or system file; `BESIDE` begins the message."""
    *folders, name = key.casefold().split("/")
    hidden = any(part.startswith(_HIDDEN) and part.strip(".") for part in (*folders, name))
    kinds = {
        "a folder": not name,
        **{kind: not set(names.split()).isdisjoint(folders) for kind, names in FOLDERS.items()},
        **{kind: name.endswith(tuple(endings.split())) for kind, endings in ENDINGS.items()},
        "hidden": hidden and name not in _NAMELESS,
    }
    if kind := next((kind for kind, found in kinds.items() if found), ""):
        raise UnsupportedImage(f"{BESIDE}: {key} is {kind}")


def identify(content: bytes) -> str:
    """Return the name of the format, one of `READABLE`; UnsupportedImage names what anything else is."""
    if not content:
        raise UnsupportedImage("the file is empty")
    head, kind = content[:_PROBE], ""
    if head[4:8] == b"ftyp":  # the ISO base media file format: its brands tell what it contains
        size = min(int.from_bytes(head[:4], "big"), _PROBE)
        major, others = head[8:12], {head[start : start + 4] for start in range(16, size - 3, 4)}
        if major in _AVIF_BRANDS or (major in _ANY_CODEC and _AVIF_BRANDS & others):
            return "AVIF"
        if major in _HEIF_BRANDS or (major != b"crx " and b"heic" in others):
            return "HEIF"
        kind = _RAW if major == b"crx " else "a film"
    else:
        kind = next((kind for pattern, kind in _SIGNATURES if re.match(pattern, head, re.DOTALL)), "")
    if kind in READABLE:
        return kind
    what = f"{kind}, not" if kind else "not"
    raise UnsupportedImage(f"the file is {what} an image in one of the formats {', '.join(READABLE)}")
