"""Colours as a screen shows them: sRGB, on white."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

WHITE: Final = (255, 255, 255, 255)
# Modes that littlecms reads as they are, by the colour space of the profile (ICC.1:2022, table 19).
_MODES: Final = {b"RGB ": ("RGB", "RGBA"), b"GRAY": ("L",), b"CMYK": ("CMYK",)}


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert an image from its embedded profile to sRGB.

    Args:
        image: of mode L, RGB, RGBA or CMYK.
        profile: the ICC profile. One that is damaged, or made for another mode, is ignored, as by browsers.

    Returns:
        The converted image, RGB or RGBA; the same image if the profile is ignored.
    """
    if image.mode not in _MODES.get(profile[16:20], ()):
        return image
    from PIL import ImageCms  # noqa: PLC0415 - most photos have no profile, and it loads littlecms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        # Browsers render relative to the white of the medium.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, source, target, renderingIntent=intent, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def on_white(image: Image.Image) -> Image.Image:
    """Return an RGB image of what is seen of an RGBA image on a white page."""
    return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")


def grey_from_16_bits(image: Image.Image, depth: int = 16) -> Image.Image:
    """Scale a grey image of more than 8 bits to 8: a plain conversion clips everything above 255 to white."""
    scale = 255 / ((1 << depth) - 1)
    return image.convert("I").point(lambda value: value * scale + 0.5).convert("L")


def with_colour_key(image: Image.Image, key: tuple[int, ...], depth: int) -> Image.Image:
    """Return an image in which one colour is transparent.

    Args:
        image: as decoded from a PNG, of mode 1, L, I;16 or RGB.
        key: the samples of the colour, as the file has them: one for grey, three for RGB.
        depth: bits a sample in the file.

    Returns:
        RGBA.
    """
    if image.mode.startswith("I"):
        mask = _equals_16_bits(image, key[0])
        shown = grey_from_16_bits(image).convert("RGBA")
    else:
        # Pillow decodes every depth to 8 bits: fewer are spread over 0 to 255, of more the upper 8 remain.
        scaled = tuple(
            value >> (depth - 8) if depth > 8 else value * 255 // ((1 << depth) - 1)  # noqa: PLR2004
            for value in key
        )
        bands = image.convert("L" if len(key) == 1 else "RGB").split()
        mask = Image.new("L", image.size, 255)
        for band, value in zip(bands, scaled, strict=True):
            same = band.point([255 if level == value else 0 for level in range(256)])
            mask.paste(0, mask=same.point(lambda level: 255 - level))
        shown = image.convert("RGBA")
    shown.putalpha(mask.point(lambda level: 255 - level))
    return shown


def _equals_16_bits(image: Image.Image, value: int) -> Image.Image:
    """Return a mask (L, 255 where equal) of the pixels of a 16-bit image that have a value."""
    from PIL import ImageMath  # noqa: PLC0415 - rarely needed

    equal: Image.Image = ImageMath.lambda_eval(
        lambda given: (given["image"] == value) * 255, image=image.convert("I")
    )
    return equal.convert("L")
