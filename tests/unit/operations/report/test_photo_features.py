"""What a photo looks like in numbers: each number follows what it is named for."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from model_build.data.samples import png_claiming
from operations.report.captures import FEATURES, DamagedRecordError, photo_features


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def features(image: Image.Image, kind: str = "PNG") -> dict[str, float]:
    return dict(zip(FEATURES, photo_features(encoded(image, kind)), strict=True))


def noise(size: tuple[int, int] = (48, 32)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


NOTHING = dict.fromkeys(("contrast", "colourfulness", "sharpness"), 0.0)
HALVES = Image.new("L", (40, 40))
HALVES.paste(255, (0, 0, 20, 40))
CHECKS = Image.fromarray((np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("RGB", (60, 30), (51, 51, 51)), {"brightness": 0.2, "aspect_ratio": 2.0, **NOTHING}),
        (Image.new("RGB", (1, 1), "white"), {"brightness": 1.0, "aspect_ratio": 1.0, **NOTHING}),
        (HALVES, {"brightness": 0.5, "contrast": 0.5}),  # the standard deviation
        # Hasler and Süsstrunk: rg = 1, yb = 0.5, no spread: 0.3 * sqrt(1 + 0.25).
        (Image.new("RGB", (8, 8), (255, 0, 0)), {"colourfulness": 0.3354}),
        # Both signs of the Laplacian of a full checkerboard: ±4 · 255, clipped by Pillow's 8 bits to ±1.
        (CHECKS, {"sharpness": pytest.approx(1.0, abs=0.01)}),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), {"brightness": 1.0}),  # what is transparent is white
    ],
)
def test_each_number_is_what_it_is_named_for(image: Image.Image, expected: dict[str, float]) -> None:
    found = features(image)
    assert {name: found[name] for name in expected} == expected
    assert found["bytes"] == len(encoded(image))


def test_blur_makes_it_less_sharp() -> None:
    sharp = noise()
    assert features(sharp.filter(ImageFilter.GaussianBlur(1)))["sharpness"] < features(sharp)["sharpness"] / 3


def test_a_large_photo_looks_like_the_same_photo_in_small() -> None:
    large = noise((64, 48)).resize((1024, 768), Image.Resampling.BICUBIC)
    small = large.resize((64, 48), Image.Resampling.BOX)
    one, other = features(large, "JPEG"), features(small)
    for name in ("brightness", "contrast", "colourfulness", "sharpness"):
        assert one[name] == pytest.approx(other[name], rel=0.15), name


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "I;16", "CMYK"])
def test_every_mode_of_an_image_is_read(mode: str) -> None:
    image = noise().convert("L") if mode == "I;16" else noise()
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert 0.3 < features(image.convert(mode), kind)["brightness"] < 0.7


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"GIF89a", b"not an image", encoded(noise())[:200]),
        *(png_claiming(5001, 5000), png_claiming(60_000, 60_000)),
    ],
)
def test_what_cannot_be_decoded_is_refused(body: bytes) -> None:
    with pytest.raises(DamagedRecordError):
        photo_features(body)
