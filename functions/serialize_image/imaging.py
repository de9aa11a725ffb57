"""From any photo's bytes to a small upright RGB image: pure functions over bytes."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

from errors import ImageTooLarge, UnsupportedImage
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP")
# 48 KiB are 64 KiB in base64: far below the 256 KiB that a workflow's state may have.
MAX_ENCODED_BYTES: Final = 48 * 1024
JPEG_QUALITIES: Final = (95, 90, 80, 65, 50, 30)
WHITE: Final = (255, 255, 255, 255)


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """A re-encoded image of at most `MAX_ENCODED_BYTES` and its media type, image/png or image/jpeg."""

    data: bytes
    content_type: str
    width: int
    height: int


def shrink(photo: bytes, *, longest_side: int, max_pixels: int) -> EncodedImage:
    """Decode a photo and encode it anew: upright, RGB on white, bounded in size, without its metadata.

    Of an animation the first frame counts. Small images stay as they are, none is enlarged.

    Args:
        photo: the bytes of a JPEG, PNG, GIF or WebP.
        longest_side: no side of the result is longer, in pixels.
        max_pixels: more pixels (width times height) are not decoded.

    Raises:
        UnsupportedImage: the bytes are empty, of an unknown format or broken.
        ImageTooLarge: the header announces more than `max_pixels`.
    """
    if not photo:
        raise UnsupportedImage("the file is empty")
    image = _open(photo, max_pixels)
    try:
        small = _normalise(image, longest_side)
    except MemoryError:
        raise  # says nothing of the photo
    except Exception as exc:
        # Broken files make Pillow raise nearly anything (OSError, SyntaxError, struct.error, IndexError …).
        raise UnsupportedImage(f"the {image.format} image cannot be decoded: {exc}") from exc
    return _encode(small)


def _open(photo: bytes, max_pixels: int) -> Image.Image:
    """Read the header only, and refuse what would be too much to decode."""
    try:
        with warnings.catch_warnings():
            # Our own limit follows two lines below and is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(photo), formats=FORMATS)
    except Image.DecompressionBombError as exc:
        raise ImageTooLarge(f"the image has far more than {max_pixels:,} pixels: {exc}") from exc
    except UnidentifiedImageError as exc:
        raise UnsupportedImage(f"the file is none of {', '.join(FORMATS)}") from exc
    except Exception as exc:
        raise UnsupportedImage(f"the file's image header cannot be read: {exc}") from exc
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the image has {image.width:,} x {image.height:,} pixels, {max_pixels:,} in all is the most"
        )
    return image


def _normalise(image: Image.Image, longest_side: int) -> Image.Image:
    # The JPEG decoder can skip detail nobody will see: a 12-megapixel photo costs a seventh then.
    # Twice the size wanted leaves the resampling something to work on.
    image.draft("RGB", (2 * longest_side, 2 * longest_side))
    image.load()
    orientation = _orientation(image)
    if image.mode.startswith("I"):
        # 16 bits a pixel: scale all of them. A plain conversion would clip everything above 255 to white.
        image = image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    elif image.has_transparency_data:
        image = image.convert("RGBA")
    elif image.mode not in {"L", "CMYK"}:
        image = image.convert("RGB")
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    image = _upright(image, orientation)
    if image.mode == "RGBA":
        background = Image.new("RGBA", image.size, WHITE)
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate or mirror an image as its EXIF orientation says.

    `exif_transpose` rewrites the metadata it finds and raises where that is damaged, so it gets none but the
    orientation.
    """
    image = image.copy()
    image.info = {}
    image.getexif()[ExifTags.Base.Orientation] = orientation
    return ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation (1 to 8, 1 if unknown); a photo with damaged metadata is accepted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001 - damaged metadata makes Pillow raise nearly anything
        return 1


def _encode(image: Image.Image) -> EncodedImage:
    """Encode without loss where that is small (drawings, thumbnails), else as the best JPEG that fits."""
    image.info = {}  # Pillow would write comments and colour profiles from here into the new file
    data = _save(image, "PNG", optimize=False)
    if len(data) <= MAX_ENCODED_BYTES:
        return EncodedImage(data, "image/png", image.width, image.height)
    for quality in JPEG_QUALITIES:
        # subsampling=0 keeps colour at full resolution: at this size it matters and costs little.
        data = _save(image, "JPEG", quality=quality, subsampling=0)
        if len(data) <= MAX_ENCODED_BYTES:
            return EncodedImage(data, "image/jpeg", image.width, image.height)
    raise ImageTooLarge(f"the image needs more than {MAX_ENCODED_BYTES:,} bytes even as a rough JPEG")


def _save(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()
