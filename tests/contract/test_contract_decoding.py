"""SerializeImage and the serving code see the same picture in a photo, whatever its format.

The endpoint gets what SerializeImage made of a photo; `evaluate` and `predict` give the serving code
the photo itself.
"""

import ast
import io
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


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("file_format", FORMATS)
def test_both_see_the_same_picture(file_format: str, variant: str) -> None:
    options = VARIANTS[variant]
    if options and file_format in WITHOUT_METADATA:
        options = {}
    photo = encode(picture(480, 320, texture=0), file_format, **options)
    through_the_workflow, directly = as_the_endpoint_gets_it(photo), inference.input_fn(photo)
    assert through_the_workflow.size == directly.size
    difference = np.abs(coarse(through_the_workflow) - coarse(directly))
    # Edges of the four colours are resampled by different filters.
    assert np.median(difference) <= 3
    assert (difference.max(2) > 12).mean() < 0.15


@pytest.mark.parametrize(
    "content", [b"", b"a text", b"%PDF-1.7", encode(picture(), "JPEG2000"), encode(picture(), "JPEG")[:900]]
)
def test_both_refuse_the_same_files(content: bytes) -> None:
    with pytest.raises(function.errors.UnsupportedImage):
        function.photo.shrink(content, longest_side=256, max_pixels=60_000_000)
    with pytest.raises(inference.BadRequest):
        inference.input_fn(content)


def test_an_orientation_in_xmp_alone_turns_neither() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    photo = io.BytesIO()
    picture().save(photo, "JPEG", xmp=xmp)
    assert (
        as_the_endpoint_gets_it(photo.getvalue()).size
        == inference.input_fn(photo.getvalue()).size
        == (240, 160)
    )


def functions_of(file: str) -> dict[str, str]:
    """Return each function of a file as code without its formatting."""
    tree = ast.parse((Path(__file__).resolve().parents[2] / file).read_text(encoding="utf-8"))
    return {node.name: ast.dump(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_both_have_the_same_code_between_decoder_and_screen() -> None:
    """Neither can import the other: each is deployed by itself."""
    own = functions_of("functions/serialize_image/photo.py")
    shared = {name: own[name] for name in ("to_8_bits", "upright", "to_srgb", "on_white")}
    assert shared.items() <= functions_of("model_build/serving/inference.py").items()


@pytest.mark.parametrize(
    "tag", [{50706: (1, [1, 4, 0, 0])}, {254: (4, [1]), 330: (4, [8])}], ids=["DNG", "NEF"]
)
def test_both_refuse_the_placeholder_of_a_raw_photo(tag: Any) -> None:
    content = rgb_tiff(Image.new("RGB", (64, 64)), tag)
    with pytest.raises(function.errors.UnsupportedImage, match="a raw photo"):
        function.photo.shrink(content, longest_side=256, max_pixels=60_000_000)
    with pytest.raises(inference.BadRequest, match="a raw photo"):
        inference.input_fn(content)
