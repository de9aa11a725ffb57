"""What SerializeImage shows of a photo, compared with the picture that it has."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.support.photo_files import QUADRANTS
from tests.support.sam_app import load_function

function = load_function("serialize_image")
UnsupportedImage = function.errors.UnsupportedImage
ImageTooLarge = function.errors.ImageTooLarge


def shrink(photo: bytes, max_pixels: int = 60_000_000, longest_side: int = 224) -> Any:
    """Return the result, after checking that it is an RGB image of the stated type and size."""
    result = function.photo.shrink(photo, longest_side=longest_side, max_pixels=max_pixels)
    image = Image.open(io.BytesIO(result.data))
    assert f"image/{(image.format or '').lower()}" == result.content_type
    assert (image.mode, image.size) == ("RGB", (result.width, result.height))
    return result


def shrunk(photo: bytes, max_pixels: int = 60_000_000) -> npt.NDArray[np.int16]:
    """Return the pixels of the result."""
    return np.asarray(Image.open(io.BytesIO(shrink(photo, max_pixels).data))).astype(np.int16)


def corners(pixels: npt.NDArray[np.int16]) -> list[tuple[int, ...]]:
    """Return the mean colour of each quadrant's middle: top left, top right, bottom left, bottom right."""
    height, width, _ = pixels.shape
    places = [(y, x) for y in (height // 8, height * 5 // 8) for x in (width // 8, width * 5 // 8)]
    quarters = [pixels[y : y + height // 4, x : x + width // 4] for y, x in places]
    return [tuple(int(value) for value in quarter.mean((0, 1))) for quarter in quarters]


def assert_shows(photo: bytes, expected: Any = QUADRANTS, tolerance: int = 14) -> None:
    """Assert that the four quadrants have these colours."""
    found = corners(shrunk(photo))
    difference = np.abs(np.array(found) - np.array(expected)).max()
    assert difference <= tolerance, f"{found} instead of {expected}"
