"""SerializeImage's result: small, RGB, of bounded size, without metadata."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from model_build.data.samples import png_claiming
from tests.support.photo_files import RED, WHITE, encode
from tests.unit.functions.shown import ImageTooLarge, function, shrink, shrunk


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        *(((4000, 3000), (256, 192)), ((300, 600), (128, 256)), ((256, 256), (256, 256))),
        *(((32, 20), (32, 20)), ((30_000, 1), (256, 1))),
    ],
)
def test_no_side_is_longer_than_the_limit_and_nothing_is_enlarged(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    encoded = shrink(encode(Image.new("RGB", size, RED), "JPEG"), longest_side=256)
    assert (encoded.width, encoded.height) == expected


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(256, 256), (3000, 2000)])
def test_even_noise_comes_out_below_the_bound(file_format: str, size: tuple[int, int]) -> None:
    # Nothing compresses worse than noise: if noise fits, every photo fits.
    encoded = shrink(encode(noise(*size), file_format), longest_side=256)
    assert len(encoded.data) <= function.photo.MAX_ENCODED_BYTES


def test_a_small_image_is_returned_without_loss() -> None:
    image = noise(32, 32)
    encoded = shrink(encode(image, "PNG"))
    assert encoded.content_type == "image/png"
    assert Image.open(io.BytesIO(encoded.data)).tobytes() == image.tobytes()


@pytest.mark.filterwarnings("ignore")
def test_damaged_exif_beside_the_orientation_still_turns_the_photo() -> None:
    # Two entries: orientation 6, and an XResolution that is text, which Pillow reads but cannot write.
    entries = struct.pack(">HHHIHH", 2, 0x0112, 3, 1, 6, 0) + struct.pack(">HHI4s", 0x011A, 2, 3, b"ab")
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08" + entries + b"\x00\x00\x00\x00"
    assert shrunk(encode(Image.new("RGB", (40, 20), RED), "JPEG", exif=exif)).shape == (40, 20, 3)


def test_no_metadata_is_returned() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret place"
    photo = encode(
        noise(800, 600), "JPEG", exif=exif, comment=b"secret place", icc_profile=b"secret place" * 20
    )
    assert photo.count(b"secret place") > 2
    encoded = shrink(photo)
    assert encoded.content_type == "image/jpeg"
    assert b"secret place" not in encoded.data
    small = encode(Image.new("RGB", (8, 8)), "PNG", icc_profile=b"secret place" * 20)
    assert set(Image.open(io.BytesIO(shrink(small).data)).info) == set()


def test_16_bit_png_is_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65_535, 224).astype(np.uint16)
    image = Image.fromarray(np.tile(ramp, (16, 1)))
    assert image.mode == "I;16"
    pixels = shrunk(encode(image, "PNG"))
    expected = np.round(ramp / 257)
    assert np.abs(pixels[8, :, 0] - expected).max() <= 1


def test_what_is_transparent_is_blended_with_white() -> None:
    palette = Image.new("P", (64, 64))
    palette.putpalette([0, 0, 0, 0, 255, 0, *[0] * 762])
    palette.paste(1, (0, 0, 32, 64))
    pixels = shrunk(encode(palette, "PNG", transparency=0))
    assert np.abs(pixels[10, [10, 60]] - [(0, 255, 0), WHITE]).max() <= 4
    half = encode(Image.new("RGBA", (400, 300), (255, 0, 0, 128)), "WEBP", lossless=True)
    assert np.abs(shrunk(half)[5, 5] - (255, 127, 127)).max() <= 4


@pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 10_000), (7_746, 7_747)])
def test_too_many_pixels_are_refused_by_the_header(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooLarge, match="60,000,000"):
        shrink(png_claiming(*size))


def test_exactly_the_pixel_limit_is_accepted() -> None:
    photo = encode(Image.new("RGB", (100, 50)), "PNG")
    assert shrunk(photo, max_pixels=5000).shape == (50, 100, 3)
    with pytest.raises(ImageTooLarge, match="100 x 50"):
        shrink(photo, max_pixels=4999)
