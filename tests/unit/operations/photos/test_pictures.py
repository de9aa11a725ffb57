"""Photos as people see them: whatever the workflow reads can be shown, and nothing else stops the program."""

import io
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from operations.photos.pictures import CannotBeShownError, Decoder, jpeg
from tests.support.photo_files import QUADRANTS, chunk, encode, exif, jpeg_with, picture, png_with, segment


def large_jpeg() -> bytes:
    return encode(Image.new("L", (14_000, 13_000), 90), "JPEG")  # 182 megapixels: a bomb, says Pillow


def transparent_png() -> bytes:
    pixels = np.zeros((160, 240, 4), np.uint8)
    pixels[:, 120:] = (30, 160, 40, 255)
    return encode(Image.fromarray(pixels), "PNG")


def png_of_16_bits() -> bytes:
    return encode(Image.fromarray(np.full((160, 240), 90 * 257, np.uint16)), "PNG")


def shown(photo: bytes, side: int = 240) -> Image.Image:
    return Image.open(io.BytesIO(jpeg(photo, side)))


@pytest.mark.parametrize(
    "photo",
    [
        encode(picture(), "HEIF"),
        png_with(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(20 << 20)))),
        png_with(chunk(b"gAMA", b"\0\0\xb1\x8f", crc=1)),
        jpeg_with(segment(0xE5, b"data", length=0)),
        jpeg_with(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
    ],
    ids=["HEIC", "inflating text", "bad checksum", "bad segment", "bad EXIF"],
)
def test_what_the_workflow_reads_is_shown(photo: bytes) -> None:
    image = shown(photo)
    places = [(60, 40), (180, 40), (60, 120), (180, 120)]
    seen = np.array([image.getpixel(place) for place in places], int)
    assert np.abs(seen - QUADRANTS).max() < 40


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        (large_jpeg, (90, 90, 90)),
        (png_of_16_bits, (90, 90, 90)),
        (transparent_png, (255, 255, 255)),
    ],
)
def test_no_kind_is_shown_black_or_white_instead(
    photo: Callable[[], bytes], expected: tuple[int, int, int]
) -> None:
    seen = np.array(shown(photo()).getpixel((20, 20)), int)
    assert np.abs(seen - expected).max() < 6


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
