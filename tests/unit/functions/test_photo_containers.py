"""SerializeImage on containers: what stands beside the picture, where it ends, what it costs."""

import io
import struct
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.photo_files import (
    LONG,
    QUADRANTS,
    SHORT,
    UNDEFINED,
    chunk,
    encode,
    exif,
    gif,
    grey_tiff,
    overlapping_tags,
    picture,
    png_with,
    rgb_tiff,
)
from tests.support.sam_app import load_function

function = load_function("serialize_image")
UnsupportedImage = function.errors.UnsupportedImage
ImageTooLarge = function.errors.ImageTooLarge
MIB = 1 << 20
TURNED = [QUADRANTS[index] for index in (2, 0, 3, 1)]
"""What orientation 6 shows."""


def shrunk(photo: bytes) -> npt.NDArray[np.int16]:
    """Return the pixels of the result."""
    result = function.imaging.shrink(photo, longest_side=224, max_pixels=60_000_000)
    return np.asarray(Image.open(io.BytesIO(result.data))).astype(np.int16)


def assert_shows(photo: bytes, expected: Any = QUADRANTS, tolerance: int = 18) -> None:
    pixels = shrunk(photo)
    height, width, _ = pixels.shape
    places = [(y, x) for y in (height // 8, height * 5 // 8) for x in (width // 8, width * 5 // 8)]
    found = [pixels[y : y + height // 4, x : x + width // 4].mean((0, 1)) for y, x in places]
    assert np.abs(np.array(found) - np.array(expected)).max() <= tolerance, f"{found} instead of {expected}"


def peak_of(call: Callable[[], object]) -> int:
    """Return how many bytes Python's own objects took at most."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------------ tags


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_exif_is_never_read_as_a_whole(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(picture(), file_format, exif=exif(6).tobytes())
    calls: list[bytes] = []
    monkeypatch.setattr(Image.Exif, "load", lambda _, data: calls.append(data))
    assert_shows(content, TURNED)
    assert not calls


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "value"), [("H", 3), ("I", 4), ("B", 1)])
def test_an_orientation_of_any_whole_number_is_read(order: str, kind: str, value: int) -> None:
    mark = {"<": b"II", ">": b"MM"}[order]
    packed = struct.pack(order + kind, 6).ljust(4, b"\x00")
    tags = struct.pack(order + "HHI", 0x0100, 4, 1) + bytes(4) + struct.pack(order + "HHI", 0x0112, value, 1)
    data = mark + struct.pack(order + "HIH", 42, 8, 2) + tags + packed
    assert function.exif.orientation(data) == 6
    assert function.exif.orientation(b"Exif\x00\x00" + data) == 6
    assert function.exif.orientation(data[:-4]) == 1


@pytest.mark.parametrize(
    "data", [b"", b"Exif\x00\x00", b"MM\x00\x2a", b"II\x2a\x00\xff\xff\xff\xff", bytes(99)]
)
def test_exif_that_is_no_exif_says_upright(data: bytes) -> None:
    assert function.exif.orientation(data) == 1


def tiff_with_overlapping_tags(count: int, size: int) -> bytes:
    # The bytes they point at are a tag's of a number beyond all of theirs.
    content = rgb_tiff(
        picture(64, 64), {**{40_000 + i: (LONG, [i]) for i in range(count)}, 65_000: (UNDEFINED, bytes(size))}
    )
    for i in range(count):
        content = content.replace(
            struct.pack("<HHII", 40_000 + i, LONG, 1, i), struct.pack("<HHII", 40_000 + i, UNDEFINED, size, 8)
        )
    return content


BOMBS: dict[str, Callable[[], bytes]] = {
    "png": lambda: png_with(chunk(b"eXIf", overlapping_tags(100, MIB))),
    "webp": lambda: encode(picture(), "WEBP", exif=overlapping_tags(100, MIB)),
    "avif": lambda: encode(picture(), "AVIF", exif=overlapping_tags(100, MIB)),
    "tiff": lambda: tiff_with_overlapping_tags(100, MIB),
}


@pytest.mark.filterwarnings("ignore:Tag data larger than file")  # of Pillow's encoder
@pytest.mark.parametrize("name", BOMBS)
def test_tags_that_point_at_the_same_bytes_cost_no_memory(name: str) -> None:
    content = BOMBS[name]()
    assert_shows(content)
    assert peak_of(lambda: shrunk(content)) < 12 * MIB


def test_the_decoder_of_tiff_gets_the_pictures_tags_only() -> None:
    content = encode(picture(), "TIFF", tiffinfo={270: "text", 305: "text", 700: b"<x/>", 274: 6})
    core = function.tiff.read_tiff(content, 60_000_000).core
    kept = set(Image.open(io.BytesIO(core)).tag_v2)  # type: ignore[attr-defined]
    assert 274 in kept
    assert not kept & {270, 305, 700}


def test_tags_of_the_picture_with_more_data_than_the_file_are_refused() -> None:
    tags = {292: (LONG, [1]), 320: (SHORT, [1]), 347: (UNDEFINED, [1])}
    content = rgb_tiff(picture(64, 64), tags)
    assert_shows(content)
    size = len(content) // 2
    for tag, (kind, values) in tags.items():
        each = {LONG: 4, SHORT: 2, UNDEFINED: 1}[kind]
        entry = struct.pack("<HHII", tag, kind, len(values), 1)
        assert entry in content
        content = content.replace(entry, struct.pack("<HHII", tag, kind, size // each, 8))
    with pytest.raises(UnsupportedImage, match="more data than the file"):
        shrunk(content)


@pytest.mark.parametrize("side", [26_752, 2**31 - 1])
def test_tiles_may_not_have_more_pixels_than_a_picture(side: int) -> None:
    tags = {322: (LONG, [side]), 323: (LONG, [side]), 324: (LONG, [8]), 325: (LONG, [768])}
    with pytest.raises(ImageTooLarge, match="tiles of"):
        shrunk(rgb_tiff(picture(16, 16), tags))


def test_a_tiff_of_one_strip_without_limit_of_rows_is_shown() -> None:
    assert_shows(rgb_tiff(picture(), {278: (LONG, [2**32 - 1])}))


@pytest.mark.parametrize("size", [(60_000_000, 1), (1, 60_000_000)])
def test_no_side_may_be_absurdly_long(size: tuple[int, int]) -> None:
    tags = {256: (LONG, [size[0]]), 257: (LONG, [size[1]]), 278: (LONG, [size[1]])}
    with pytest.raises(ImageTooLarge, match="no side"):
        shrunk(rgb_tiff(picture(16, 16), tags))


def test_too_many_strips_are_refused() -> None:
    with pytest.raises(UnsupportedImage, match="strips or tiles"):
        shrunk(rgb_tiff(picture(16, 16), {273: (LONG, [8] * 300_000)}))


# ------------------------------------------------------------------ GIF


def gif_with(blocks: bytes) -> bytes:
    content = gif((80, 80), (0, 0, 80, 80))
    start = content.index(b"\x2c")
    return content[:start] + blocks + content[start:]


def test_what_stands_before_a_gifs_picture_is_dropped() -> None:
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * 3 + b"\x00"
    application = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    control = b"\x21\xf9\x04\x01\x00\x00\x00\x00"
    content = gif_with(comment + application + control + comment)
    assert function.gif.without_comments(content) == gif_with(control)
    assert_shows(content, [(255, 255, 255), *QUADRANTS[1:]])


@pytest.mark.parametrize(
    "blocks",
    [b"\x21\xfe" + b"\x01x" * 1_100_000 + b"\x00", b"\x21\xfe\x01x\x00" * 600_000],
    ids=["one", "many"],
)
def test_a_gif_with_absurdly_many_blocks_is_refused_before_it_is_decoded(blocks: bytes) -> None:
    with pytest.raises(UnsupportedImage, match="blocks before its picture"):
        shrunk(gif_with(blocks))


# ------------------------------------------------------------------ cut off, and filled with zeros


def with_flat_end() -> Image.Image:
    image = picture(640, 480)
    image.paste((255, 255, 255), (0, 160, 640, 480))
    return image


def with_alpha() -> Image.Image:
    image = picture(640, 480)
    image.putalpha(200)
    return image


PADDED: dict[str, Callable[[], bytes]] = {
    "webp": partial(encode, picture(640, 480), "WEBP"),
    "webp lossless": partial(encode, picture(640, 480), "WEBP", lossless=True),
    "webp with alpha": partial(encode, with_alpha(), "WEBP"),
    "webp with exif": partial(encode, picture(640, 480), "WEBP", exif=exif(1)),
    "avif": partial(encode, picture(640, 480), "AVIF"),
    "avif with alpha": partial(encode, with_alpha(), "AVIF"),
    "heic": partial(encode, picture(640, 480), "HEIF"),
    "heic with exif": partial(encode, picture(640, 480), "HEIF", exif=exif(1)),
}


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.98])
@pytest.mark.parametrize("name", PADDED)
def test_a_photo_that_is_cut_off_and_filled_with_zeros_is_refused(name: str, share: float) -> None:
    content = PADDED[name]()
    kept = int(share * len(content))
    for zeros in (len(content) - kept, 4096, len(content)):
        with pytest.raises(UnsupportedImage):
            shrunk(content[:kept] + bytes(zeros))


def test_an_animation_whose_first_picture_is_cut_off_is_refused() -> None:
    frames = [Image.new("RGB", (240, 160)), picture(240, 160)]
    content = encode(picture(), "WEBP", save_all=True, append_images=frames)
    second = content.index(b"ANMF", content.index(b"ANMF") + 4)
    for kept in (second // 2, second - 100):
        with pytest.raises(UnsupportedImage):
            shrunk(content[:kept] + bytes(len(content) - kept))


@pytest.mark.parametrize("name", PADDED)
def test_zeros_after_a_whole_photo_do_no_harm(name: str) -> None:
    whole = shrunk(PADDED[name]())
    assert np.array_equal(shrunk(PADDED[name]() + bytes(4096)), whole)


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("padding", [0, 4096])
def test_a_flat_part_whose_code_is_zeros_is_no_padding(lossless: bool, padding: int) -> None:
    content = encode(with_flat_end(), "WEBP", lossless=lossless, method=0, quality=80)
    assert content.endswith(bytes(16)), "this test is about such a file"
    pixels = shrunk(content + bytes(padding))
    assert pixels[-40:].min() > 250
    assert np.abs(pixels[10, 10] - QUADRANTS[0]).max() < 30


def test_places_of_items_that_never_end_are_not_read_on() -> None:
    content = encode(picture(), "AVIF")
    place = content.index(b"iloc") + 4
    endless = b"\x02\x00\x00\x00\x00\x00\xff\xff\xff\xff"  # version 2, no sizes, 4 milliards of items
    items = function.bmff.Items()
    function.bmff._read_extents(endless + b"\xff" * 1000, items)  # noqa: SLF001
    function.bmff._read_extents(b"\x02\x00\x00\x00\x11" + endless[5:] + b"\xff" * 200_000, items)  # noqa: SLF001
    assert items.read <= 100_001
    with pytest.raises(UnsupportedImage):
        shrunk(content[:place] + endless + content[place + len(endless) :])


# ------------------------------------------------------------------ TIFF's variants


@pytest.mark.parametrize("turn", [1, 6])
def test_a_bigtiff_is_shown(turn: int) -> None:
    content = rgb_tiff(picture(), {274: (SHORT, [turn])}, big=True)
    assert_shows(content, QUADRANTS if turn == 1 else TURNED)


def test_a_big_endian_tiff_is_shown() -> None:
    assert_shows(rgb_tiff(picture(), {274: (SHORT, [6])}, order=">"), TURNED)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_a_compressed_bigtiff_is_shown(compression: str) -> None:
    assert_shows(encode(picture(), "TIFF", compression=compression, big_tiff=True))


RAMP = np.tile(np.linspace(0, 1, 64), (64, 1))
REFUSED_TIFF = {
    "floating point": grey_tiff(RAMP.astype("<f4"), white=1, sample_format=3),
    "samples of 32 bits": grey_tiff((RAMP * (2**32 - 1)).astype("<u4"), white=1),
    "samples with a sign": grey_tiff((RAMP * 32767).astype("<i2"), white=1, sample_format=2),
    "BigTIFF": rgb_tiff(picture(), order=">", big=True),
    "JPEG 2000": rgb_tiff(picture(), {259: (SHORT, [34712])}),
}


@pytest.mark.parametrize("name", REFUSED_TIFF)
def test_a_tiff_that_would_be_shown_wrongly_is_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedImage, match=f"{name}.*convert it"):
        shrunk(REFUSED_TIFF[name])


def packed_12_bits(samples: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    first, second = samples[:, ::2].astype(int), samples[:, 1::2].astype(int)
    groups = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=2)
    return groups.reshape(len(samples), -1).astype(np.uint8)


def test_a_grey_tiff_of_any_depth_and_direction_shows_the_same() -> None:
    expected = (RAMP * 255)[:, :, None]
    levels = (RAMP * 65535).astype("<u2")
    twelve = packed_12_bits((RAMP * 4095).astype("<u2"))
    content = grey_tiff(twelve, white=1, bits=12).replace(
        struct.pack("<HHII", 256, LONG, 1, twelve.shape[1]), struct.pack("<HHII", 256, LONG, 1, 64)
    )
    shown = {
        "8 bits": grey_tiff((RAMP * 255).round().astype("u1"), white=1),
        "8 bits, white is zero": grey_tiff((255 - RAMP * 255).round().astype("u1"), white=0),
        "12 bits": content,
        "16 bits": grey_tiff(levels, white=1),
        "16 bits, white is zero": grey_tiff(65535 - levels, white=0),
    }
    for name, one in shown.items():
        assert np.abs(shrunk(one) - expected).max() <= 2, name


# ------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "content",
    [
        gif((80, 80), (0, 0, 80, 80))[:25] + b"\x3b",
        b"GIF89a",
        b"II\x2a\x00\x08\x00\x00\x00\x00\x00",
        rgb_tiff(picture(16, 16), {258: (SHORT, [7, 7, 7])}),
        b"II\x2b\x00" + bytes(40),
        encode(picture(), "WEBP")[:20] + bytes(60),
        encode(picture(), "HEIF")[:40] + bytes(60),
        encode(picture(), "AVIF")[:40] + bytes(60),
    ],
    ids=range(8),
)
def test_a_refusal_is_of_the_image_not_of_an_object_in_memory(content: bytes) -> None:
    with pytest.raises(UnsupportedImage, match=r"the \w+ image") as raised:
        shrunk(content)
    assert "object at" not in str(raised.value)


@pytest.mark.parametrize(
    ("file_format", "brand"),
    [
        ("HEIF", b"miaf"),
        ("HEIF", b"mif1"),
        ("HEIF", b"MiHE"),
        ("HEIF", b"mif2"),
        ("AVIF", b"miaf"),
        ("AVIF", b"mif1"),
    ],
)
def test_a_container_of_any_brand_is_what_its_picture_is(file_format: str, brand: bytes) -> None:
    content = encode(picture(), file_format)
    assert_shows(content[:8] + brand + content[12:])
