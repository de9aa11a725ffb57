"""Convert a photo of any kind to a small upright RGB image: pure functions over bytes."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

from errors import ImageTooLarge, UnsupportedImage
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP")
# 48 KiB are 64 KiB in base64, far below the 256 KiB that Step Functions allows in a state.
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
    """Decode a photo and re-encode it: upright, RGB on white, bounded in size, without metadata.

    Animations are reduced to their first frame. No image is enlarged.

    Args:
        photo: the bytes of a JPEG, PNG, GIF or WebP.
        longest_side: no side of the result is longer, in pixels.
        max_pixels: images with more pixels (width times height) are not decoded.

    Raises:
        UnsupportedImage: the bytes are empty, damaged, or of an unsupported format.
        ImageTooLarge: the header claims more than `max_pixels`.
    """
    if not photo:
        raise UnsupportedImage("the file is empty")
    image = _open(photo, max_pixels)
    try:
        small = _normalise(image, longest_side)
    except MemoryError:
        raise  # not the fault of the photo
    except Exception as exc:
        # Damaged files make Pillow raise OSError, SyntaxError, struct.error, IndexError and others.
        raise UnsupportedImage(f"the {image.format} image cannot be decoded: {exc}") from exc
    return _encode(small)


def _open(photo: bytes, max_pixels: int) -> Image.Image:
    """Read only the header, and refuse images with too many pixels before they are decoded."""
    try:
        with warnings.catch_warnings():
            # max_pixels, checked below, is the limit that applies.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(photo), formats=FORMATS)
    except Image.DecompressionBombError as exc:
        raise ImageTooLarge(f"the image has far more pixels than the limit of {max_pixels:,}: {exc}") from exc
    except UnidentifiedImageError as exc:
        raise UnsupportedImage(
            f"the file is not an image in one of the formats {', '.join(FORMATS)}"
        ) from exc
    except Exception as exc:
        raise UnsupportedImage(f"the file's image header cannot be read: {exc}") from exc
    if image.width * image.height > max_pixels:
        raise ImageTooLarge(
            f"the image has {image.width:,} x {image.height:,} pixels, more than the limit of {max_pixels:,}"
        )
    return image


def _normalise(image: Image.Image, longest_side: int) -> Image.Image:
    # The JPEG decoder can skip detail that shrinking discards: seven times faster for 12 megapixels.
    # Twice the final size leaves the resampling filter enough pixels.
    image.draft("RGB", (2 * longest_side, 2 * longest_side))
    image.load()
    orientation = _orientation(image)
    if image.mode.startswith("I"):
        # 16 bits a pixel: scaled, because a plain conversion clips everything above 255 to white.
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
    """Encode as PNG if that fits (drawings, thumbnails), otherwise as the best JPEG that does."""
    image.info = {}  # Pillow would copy comments and colour profiles from here into the new file
    data = _save(image, "PNG", optimize=False)
    if len(data) <= MAX_ENCODED_BYTES:
        return EncodedImage(data, "image/png", image.width, image.height)
    for quality in JPEG_QUALITIES:
        # subsampling=0 keeps colour at full resolution, which matters at this size and costs little.
        data = _save(image, "JPEG", quality=quality, subsampling=0)
        if len(data) <= MAX_ENCODED_BYTES:
            return EncodedImage(data, "image/jpeg", image.width, image.height)
    raise ImageTooLarge(
        f"the image needs more than {MAX_ENCODED_BYTES:,} bytes even at the lowest JPEG quality"
    )


def _save(image: Image.Image, file_format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()
