"""Decode a photo of any readable format, reduced where that is cheaper."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import bmff
import colour
import exif
import gif
import jpeg
import png
import tiff
import webp
from errors import ImageTooLarge, UnsupportedImage
from identify import identify
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import ImageFile

# A JPEG is decoded at a fraction of its size, so that its pixels cost a quarter of the time of others'.
JPEG_PIXELS_FACTOR: Final = 4
# Pillow expands the runs of a BMP in Python.
MAX_RLE_BMP_PIXELS: Final = 4_000_000
MAX_SIDE: Final = 1_000_000  # the bits of a row must be countable, and no camera makes such
_RLE: Final = (1, 2)  # biCompression of run-length encoded bitmaps
# Pixels for each of the result's, along a side, that leave the resampling filter enough. 4,000 pixels, a side
# of most phones' photos, have as many at an eighth, for a result of 256.
_ENOUGH_PIXELS: Final = 1.95
# Major brands by which Pillow and pillow_heif recognise their files.
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis", b"mif1", b"msf1"})
_HEIF_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_MIDDLE: Final = 128  # of the range of brightness
_ROUNDING: Final = 2  # of conversions between colour spaces

# The limit of pixels is checked here, for each format by what decoding costs.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded photo as it is stored.

    Attributes:
        image: of mode L, RGB, RGBA or CMYK.
        orientation: how to turn it upright, EXIF's 1 to 8.
        icc: its colour profile; empty if there is none.
    """

    image: Image.Image
    orientation: int = 1
    icc: bytes = b""


def decode(photo: bytes, *, target_side: int, max_pixels: int) -> Decoded:
    """Decode the first frame of a photo.

    Args:
        photo: the file.
        target_side: the longest side that is needed, in pixels; a JPEG is decoded at the least fraction of
            its size that leaves about twice as many.
        max_pixels: images with more pixels (width times height) are refused before they are decoded; a JPEG
            may have four times as many.

    Raises:
        UnsupportedImage: the file is empty, damaged, or of another format.
        ImageTooLarge: it has too many pixels.
    """
    kind = identify(photo)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            return _DECODERS[kind](photo, kind, target_side, max_pixels)
    except (MemoryError, UnsupportedImage, ImageTooLarge):
        raise  # running out of memory is not the fault of the photo
    except UnidentifiedImageError as exc:  # its message is of an object in memory
        raise UnsupportedImage(
            f"the {kind} image cannot be decoded: it is damaged, or of a variant that is not supported here"
        ) from exc
    except Exception as exc:
        # Damaged files make Pillow raise OSError, SyntaxError, struct.error, IndexError and others.
        raise UnsupportedImage(f"the {kind} image cannot be decoded: {exc}") from exc


def _open(content: bytes, kind: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header only, and refuse images with too many pixels."""
    image = Image.open(io.BytesIO(content), formats=[kind])
    if max(image.size) > MAX_SIDE:
        raise ImageTooLarge(
            f"the image has {image.width:,} x {image.height:,} pixels: no side may exceed {MAX_SIDE:,}"
        )
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the image has {image.width:,} x {image.height:,} pixels, "
            f"more than the limit of {max_pixels:,} for {kind}"
        )
    return image


def _decode_jpeg(photo: bytes, kind: str, target_side: int, max_pixels: int) -> Decoded:
    parts = jpeg.read_jpeg(photo, JPEG_PIXELS_FACTOR * max_pixels)
    image = _reduced_jpeg(parts.core, kind, target_side)
    if _may_be_cut_off(image, parts) and not _is_whole(image, parts.core, target_side):
        if not parts.zeros or not _needs_all_zeros(parts, target_side):
            raise UnsupportedImage("the JPEG image is cut off: a part of its picture is missing")
        image = _reduced_jpeg(jpeg.with_zeros(parts, parts.zeros), kind, target_side)
    return Decoded(image, exif.orientation(parts.exif), parts.icc)


def _reduced_jpeg(core: bytes, kind: str, target_side: int) -> Image.Image:
    # The decoder can skip detail that shrinking discards: seven times faster for 12 megapixels.
    image = Image.open(io.BytesIO(core), formats=[kind])
    scale = _ENOUGH_PIXELS * target_side / max(image.size)
    image.draft("RGB", (math.ceil(image.width * scale), math.ceil(image.height * scale)))
    image.load()
    return image


def _is_whole(image: Image.Image, core: bytes, target_side: int) -> bool:
    return image.tobytes() == _reduced_jpeg(jpeg.with_filler(core), "JPEG", target_side).tobytes()


def _needs_all_zeros(parts: jpeg.Jpeg, target_side: int) -> bool:
    """Return whether the zeros at the end are data: of padding, which is arbitrary, some are too many."""
    core = jpeg.with_zeros(parts, parts.zeros)
    fewer = jpeg.with_zeros(parts, parts.zeros - jpeg.ZERO_PADDING // 2)
    return _is_whole(_reduced_jpeg(core, "JPEG", target_side), core, target_side) and not _is_whole(
        _reduced_jpeg(fewer, "JPEG", target_side), fewer, target_side
    )


def _may_be_cut_off(image: Image.Image, parts: jpeg.Jpeg) -> bool:
    """Return whether the end of the picture looks as if it was missing.

    The decoder paints what is missing in the middle of the range of brightness: libjpeg's jdhuff.c leaves all
    coefficients of a block without data zero. A picture of several scans misses detail or colour everywhere.
    """
    if parts.scans > 1 or parts.progressive:
        return True
    last = image.crop((image.width - 1, image.height - 1, image.width, image.height))
    # The black of CMYK, as brightness, is stored at full resolution: no colour of other blocks is mixed in.
    (brightness,) = (last.getchannel("K") if last.mode == "CMYK" else last.convert("L")).tobytes()
    return abs(brightness - _MIDDLE) <= _ROUNDING


def _decode_png(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    parts = png.read_png(photo)
    stored = _open(parts.core, kind, max_pixels)
    stored.load()
    if _ends_in_nothing(stored) and not png.has_all_pixels(parts):
        raise UnsupportedImage("the PNG image is cut off: a part of its pixels is missing")
    if parts.colour_key:
        image = colour.with_colour_key(stored, parts.colour_key, parts.depth)
    else:
        image = _plain(stored)
    return Decoded(image, exif.orientation(parts.exif), parts.icc)


def _ends_in_nothing(image: Image.Image) -> bool:
    """Return whether one of the last two rows has only zeros, as Pillow leaves what is missing.

    Of an interlaced image, the last pass fills every second row.
    """
    rows = (image.crop((0, row, image.width, row + 1)) for row in range(image.height)[-2:])
    return any(not row.tobytes().strip(b"\x00") for row in rows)


def _decode_gif(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    """Decode the first frame as browsers paint it: on a canvas that shows the page where nothing is drawn."""
    image = _open(gif.without_comments(photo), kind, max_pixels)
    whole = (0, 0, *image.size)
    box = (image.tile[0].extents or whole) if image.tile else whole
    image.load()
    frame = image.convert("RGBA")
    if box == whole:
        return Decoded(frame)
    canvas = Image.new("RGBA", image.size, (255, 255, 255, 0))
    canvas.paste(frame.crop(box), box[:2])
    return Decoded(canvas)


def _decode_heif(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    """Decode a HEIC. The decoder applies the stored rotation itself, whatever EXIF says beside it."""
    try:
        import pillow_heif  # noqa: PLC0415 - 27 MB that only a HEIC needs
    except ImportError as exc:
        raise UnsupportedImage(
            "the file is a HEIC image, and this function was built for Python 3.11, for whose Lambda runtime "
            "there is no decoder: deploy it with PythonRuntime=python3.12 or newer"
        ) from exc
    pillow_heif.register_heif_opener(thumbnails=False)
    image = _open(bmff.prepared(photo, _HEIF_BRANDS, b"heic"), kind, max_pixels)
    image.load()
    return Decoded(_plain(image), icc=image.info.get("icc_profile") or b"")


def _decode_avif(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    image = _open(bmff.prepared(photo, _AVIF_BRANDS, b"avif"), kind, max_pixels)
    image.load()
    # Pillow makes EXIF data of the rotation that is stored as the picture's property.
    turn = exif.orientation(image.info.get("exif") or b"")
    return Decoded(_plain(image), turn, image.info.get("icc_profile") or b"")


def _decode_webp(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    if (short := webp.shortened(photo)) and _can_be_decoded(short, kind, max_pixels):
        raise UnsupportedImage("the WebP image is cut off: a part of its picture is missing")
    image = _open(photo, kind, max_pixels)
    image.load()
    turn = exif.orientation(image.info.get("exif") or b"")
    return Decoded(_plain(image), turn, image.info.get("icc_profile") or b"")


def _can_be_decoded(photo: bytes, kind: str, max_pixels: int) -> bool:
    try:
        _open(photo, kind, max_pixels).load()
    except (OSError, SyntaxError, EOFError):
        return False
    return True


def _decode_tiff(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    """Decode a TIFF's first page. Pillow turns it upright while it loads."""
    parts = tiff.read_tiff(photo, max_pixels)
    stored = _open(parts.core, kind, max_pixels)
    stored.load()
    icc = stored.info.get("icc_profile") or b""
    if not stored.mode.startswith("I"):
        return Decoded(_plain(stored), icc=icc)
    grey = colour.grey_from_16_bits(stored, parts.depth)
    return Decoded(grey.point(lambda level: 255 - level) if parts.inverted else grey, icc=icc)


def _decode_bmp(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Decoded:
    is_run_length_encoded = int.from_bytes(photo[30:34], "little") in _RLE and photo[14] > 12  # noqa: PLR2004
    image = _open(photo, kind, min(max_pixels, MAX_RLE_BMP_PIXELS) if is_run_length_encoded else max_pixels)
    image.load()
    return Decoded(_plain(image))


_DECODERS: Final[dict[str, Callable[[bytes, str, int, int], Decoded]]] = {
    "JPEG": _decode_jpeg,
    "PNG": _decode_png,
    "GIF": _decode_gif,
    "WEBP": _decode_webp,
    "AVIF": _decode_avif,
    "HEIF": _decode_heif,
    "BMP": _decode_bmp,
    "TIFF": _decode_tiff,
}


def _plain(image: Image.Image) -> Image.Image:
    """Return the image in mode L, RGB, RGBA or CMYK."""
    if image.mode.startswith("I") or image.mode == "F":
        return colour.grey_from_16_bits(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")
