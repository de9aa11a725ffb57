"""Photos as people see them: by SerializeImage's decoder; what it cannot read stops no program."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from operations.photos.pictures import CannotBeShownError, Decoder, jpeg
from tests.support.photo_files import QUADRANTS, encode, exif, picture


def shown(photo: bytes, side: int = 240) -> Image.Image:
    return Image.open(io.BytesIO(jpeg(photo, side)))


GREY, ON_WHITE = [(90, 90, 90)] * 4, [(255, 255, 255)] * 4
AS_THEY_ARE: dict[str, tuple[Callable[[], bytes], Any, int]] = {  # the photo, its quadrants, the tolerance
    "HEIF": (lambda: encode(picture(), "HEIF"), QUADRANTS, 40),
    "a bomb to Pillow": (lambda: encode(Image.new("L", (14_000, 13_000), 90), "JPEG"), GREY, 6),
    "16-bit PNG": (lambda: encode(Image.fromarray(np.full((160, 240), 90 * 257, np.uint16)), "PNG"), GREY, 6),
    "transparent PNG": (lambda: encode(Image.new("RGBA", (240, 160)), "PNG"), ON_WHITE, 6),
}


@pytest.mark.parametrize("kind", AS_THEY_ARE)
def test_a_photo_is_shown_as_it_is(kind: str) -> None:
    """Also by kinds that only the workflow's decoder reads; tests/unit/functions has them all."""
    photo, quadrants, tolerance = AS_THEY_ARE[kind]
    image = shown(photo())
    places = [(60, 40), (180, 40), (60, 120), (180, 120)]
    seen = np.array([image.getpixel(place) for place in places], int)
    assert np.abs(seen - quadrants).max() < tolerance


def test_a_photo_is_upright_and_small() -> None:
    assert shown(encode(picture(800, 400), "JPEG", exif=exif(6)), 100).size == (50, 100)


@pytest.mark.parametrize("photo", [b"", b"a text", b"\xff\xd8\xff\xe0 cut off"])
def test_what_is_no_photo_says_what_it_is(photo: bytes) -> None:
    with pytest.raises(CannotBeShownError, match=r"\w"):
        jpeg(photo, 100)
    assert shown(encode(picture(), "PNG")).size == (240, 160), "and the next is shown"


def test_a_photo_that_takes_too_long_is_given_up_and_the_next_is_shown() -> None:
    decoder = Decoder(patience_s=0.001)  # Python itself takes longer to start
    try:
        with pytest.raises(CannotBeShownError, match="too long"):
            decoder.jpeg(encode(picture(), "PNG"), 100)
        decoder._patience_s = 30  # noqa: SLF001
        assert decoder.jpeg(encode(picture(), "PNG"), 100)
    finally:
        decoder.close()
