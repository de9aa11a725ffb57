"""SerializeImage and the serving code see the same picture in a photo, whatever its format.

The endpoint gets what SerializeImage made of a photo; `evaluate` and `predict` give the serving code
the photo itself.
"""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from model_build.serving import inference
from tests.support.photo_files import ADOBE_RGB, DISPLAY_P3, encode, exif, picture, rgb_profile, rgb_tiff
from tests.support.sam_app import load_function

function = load_function("serialize_image")

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "GIF")
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "turned": {"exif": exif(6).tobytes()},
    "mirrored": {"exif": exif(5).tobytes()},
    "Display P3": {"icc_profile": rgb_profile(DISPLAY_P3)},
    "Adobe RGB": {"icc_profile": rgb_profile(ADOBE_RGB)},
}
WITHOUT_METADATA = ("BMP", "GIF")
SIDE = 32


def as_the_endpoint_gets_it(photo: bytes) -> Image.Image:
    encoded = function.photo.shrink(photo, longest_side=256, max_pixels=60_000_000)
    return inference.input_fn(encoded.data, encoded.content_type)


def coarse(image: Image.Image) -> npt.NDArray[np.int16]:
    """Return the picture at a size at which resampling makes no difference."""
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.int16)


@pytest.mark.parametrize(
    ("file_format", "variant"),
    [(one, variant) for one in FORMATS for variant in (["plain"] if one in WITHOUT_METADATA else VARIANTS)],
)
def test_both_see_the_same_picture(file_format: str, variant: str) -> None:
    photo = encode(picture(480, 320, texture=0), file_format, **VARIANTS[variant])
    through_the_workflow, directly = as_the_endpoint_gets_it(photo), inference.input_fn(photo)
    assert through_the_workflow.size == directly.size
    difference = np.abs(coarse(through_the_workflow) - coarse(directly))
    # Edges of the four colours are resampled by different filters.
    assert np.median(difference) <= 3
    assert (difference.max(2) > 12).mean() < 0.15


PLACEHOLDER = Image.new("RGB", (64, 64))
DNG, NEF = {50706: (1, [1, 4, 0, 0])}, {254: (4, [1]), 330: (4, [8])}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        *((content, None) for content in (b"", b"a text", b"%PDF-1.7")),
        *((content, None) for content in (encode(picture(), "JPEG2000"), encode(picture(), "JPEG")[:900])),
        *((rgb_tiff(PLACEHOLDER, tags), "a raw photo") for tags in (DNG, NEF)),
    ],
)
def test_both_refuse_the_same_files(content: bytes, why: str | None) -> None:
    with pytest.raises(function.errors.UnsupportedImage, match=why):
        function.photo.shrink(content, longest_side=256, max_pixels=60_000_000)
    with pytest.raises(inference.BadRequest, match=why):
        inference.input_fn(content)


def test_an_orientation_in_xmp_alone_turns_neither() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    photo = encode(picture(), "JPEG", xmp=xmp)
    assert as_the_endpoint_gets_it(photo).size == inference.input_fn(photo).size == (240, 160)


def functions_of(file: str) -> dict[str, str]:
    """Return each function of a file as code without its formatting."""
    tree = ast.parse((Path(__file__).resolve().parents[2] / file).read_text(encoding="utf-8"))
    return {node.name: ast.dump(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_both_have_the_same_code_between_decoder_and_screen() -> None:
    """Neither can import the other: each is deployed by itself."""
    own = functions_of("functions/serialize_image/photo.py")
    shared = {name: own[name] for name in ("to_8_bits", "upright", "to_srgb", "on_white")}
    assert shared.items() <= functions_of("model_build/serving/inference.py").items()
