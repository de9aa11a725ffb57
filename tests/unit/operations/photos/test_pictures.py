"""Photos as people see them: by SerializeImage's decoder; what it cannot read stops no program."""

import io

import numpy as np
import pytest
from PIL import Image

from operations.photos.pictures import CannotBeShownError, Decoder, jpeg
from tests.support.photo_files import QUADRANTS, encode, exif, picture


def shown(photo: bytes, side: int = 240) -> Image.Image:
    return Image.open(io.BytesIO(jpeg(photo, side)))


def test_what_only_the_workflows_decoder_reads_is_shown() -> None:
    image = shown(encode(picture(), "HEIF"))
    places = [(60, 40), (180, 40), (60, 120), (180, 120)]
    seen = np.array([image.getpixel(place) for place in places], int)
    assert np.abs(seen - QUADRANTS).max() < 40


@pytest.mark.parametrize("kind", ["large JPEG", "16-bit PNG", "transparent PNG"])
def test_no_kind_is_shown_black_or_white_instead(kind: str) -> None:
    """A large one, of 182 megapixels, is a bomb to Pillow; tests/unit/functions has all kinds."""
    grey, white = (90, 90, 90), (255, 255, 255)
    if kind == "large JPEG":
        photo, expected = encode(Image.new("L", (14_000, 13_000), 90), "JPEG"), grey
    elif kind == "16-bit PNG":
        photo = encode(Image.fromarray(np.full((160, 240), 90 * 257, np.uint16)), "PNG")
        expected = grey
    else:
        photo, expected = encode(Image.new("RGBA", (240, 160)), "PNG"), white
    assert np.abs(np.array(shown(photo).getpixel((20, 20)), int) - expected).max() < 6


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
