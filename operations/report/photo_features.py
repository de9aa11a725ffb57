"""What a photo looks like in a few numbers, for telling whether photos have changed."""

import io
import math
import warnings
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

FEATURES: Final = ("brightness", "contrast", "colourfulness", "sharpness", "aspect_ratio", "bytes")
# Larger photos are reduced to a longer side of 64 to 127 pixels: enough for these numbers, and decoding less
# of a JPEG saves most of the time.
_SIDE: Final = 64
_MAX_PIXELS: Final = 25_000_000  # 75 MB once decoded; the workflow sends 256 pixels a side at most
_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_LEVELS: Final = np.arange(256, dtype=np.float64)
# Pillow's filters clip to 0..255: half of the range for each sign, at half of the size.
_KERNEL_SIDE: Final = 3
_LAPLACIAN: Final = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=2, offset=128)


class UnreadablePhotoError(ValueError):
    """The bytes are not an image that can be decoded."""


def photo_features(body: bytes) -> tuple[float, ...]:
    """Return the features of an encoded photo, in the order of FEATURES.

    Brightness and contrast are mean and standard deviation of the luma, 0 to 1; colourfulness is that of
    Hasler and Süsstrunk (2003, Measuring colourfulness in natural images) on 0 to 1; sharpness is the
    standard deviation of the Laplacian of the luma; the aspect ratio is width / height. All but the number of
    bytes are rounded to 4 decimals, so that a value is the same wherever it is stored. UnreadablePhotoError
    if they are no photo that can be decoded, or have more than 25 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _MAX_PIXELS is stricter
            opened = Image.open(io.BytesIO(body), formats=_FORMATS)
            ratio, image = opened.width / opened.height, _reduced(opened)
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, ... in Pillow
        raise UnreadablePhotoError(f"not a readable image ({type(error).__name__})") from error
    luma, sharpness = image.convert("L"), 0.0
    brightness, contrast = _moments(luma)
    if min(luma.size) >= _KERNEL_SIDE:
        # Pillow leaves the pixels at the border as they were.
        inner = luma.filter(_LAPLACIAN).crop((1, 1, luma.width - 1, luma.height - 1))
        sharpness = 2 * _moments(inner)[1]
    red, green, blue = np.moveaxis(np.asarray(image, dtype=np.float32) / np.float32(255), 2, 0)
    opponents = red - green, (red + green) / 2 - blue
    spread = math.hypot(*(float(one.std()) for one in opponents))
    colourfulness = spread + 0.3 * math.hypot(*(float(one.mean()) for one in opponents))
    ordered = (brightness, contrast, colourfulness, sharpness, ratio)
    return (*(round(value, 4) for value in ordered), float(len(body)))


def _reduced(image: Image.Image) -> Image.Image:
    if image.width * image.height > _MAX_PIXELS:
        raise UnreadablePhotoError(f"{image.width} x {image.height} pixels are too many")
    image.draft("RGB", (_SIDE, _SIDE))  # JPEG decoders skip detail that is thrown away below
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image.convert("RGB").reduce(max(1, max(image.size) // _SIDE))


def _moments(image: Image.Image) -> tuple[float, float]:
    """Return mean and standard deviation of a grey image, 0 to 1."""
    counts = np.array(image.histogram(), dtype=np.float64)
    total = counts.sum()
    mean = float(counts @ _LEVELS / total)
    variance = float(counts @ (_LEVELS - mean) ** 2 / total)
    return mean / 255, math.sqrt(variance) / 255
