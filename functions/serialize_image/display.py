"""A picture as a screen shows it: 8 bits, upright, sRGB, on white.

serving/inference.py has the same functions, held equal by tests/contract/test_contract_decoding.py: neither
program may import the other.
"""

from __future__ import annotations

import io

from PIL import Image


def to_8_bits(image: Image.Image, white: int = 65_535) -> Image.Image:
    """Return the image in mode L, RGB, RGBA or CMYK; a plain conversion clips grey above 255 to white."""
    if image.mode.startswith("I") or image.mode == "F":
        return image.convert("I").point(lambda value: value * (255 / white) + 0.5).convert("L")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF says, if that can be read; browsers do not ask XMP."""
    for name in ("XML:com.adobe.xmp", "xmp"):
        image.info.pop(name, None)
    try:
        turn = image.getexif().get(0x0112, 1)
    except Exception:  # noqa: BLE001 - whatever is wrong with it
        turn = 1
    to = Image.Transpose
    turns = {2: to.FLIP_LEFT_RIGHT, 3: to.ROTATE_180, 4: to.FLIP_TOP_BOTTOM, 5: to.TRANSPOSE}
    turns |= {6: to.ROTATE_270, 7: to.TRANSVERSE, 8: to.ROTATE_90}
    return image.transpose(turns[turn]) if turn in turns else image


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image from its profile to sRGB; a damaged or unfitting one is ignored, as by browsers."""
    # Modes that littlecms reads as they are, by the colour space of the profile (ICC.1:2022, table 19).
    modes = {b"RGB ": ("RGB", "RGBA"), b"GRAY": ("L",), b"CMYK": ("CMYK",)}
    profile = image.info.get("icc_profile") or b""
    if image.mode not in modes.get(profile[16:20], ()):
        return image
    from PIL import ImageCms  # noqa: PLC0415 - most images have no profile, and it loads littlecms

    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        # Browsers render relative to the white of the medium.
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        converted = ImageCms.profileToProfile(image, source, target, renderingIntent=intent, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def on_white(image: Image.Image) -> Image.Image:
    """Return an RGB image of what is seen of an image on a white page."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")
