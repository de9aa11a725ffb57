"""SerializeImage on damaged and hostile files: shown as browsers show them, or refused in one sentence.

The policy: metadata that is broken is skipped; a picture that is cut off is refused where the decoder
notices, and shown as it is where a file has its proper end; what a header claims is checked first.
"""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.photo_files import (
    DISPLAY_P3,
    LONG,
    QUADRANTS,
    SHORT,
    chunk,
    encode,
    exif,
    gif,
    jpeg_with,
    picture,
    png_with,
    rgb_profile,
    rgb_tiff,
    segment,
)
from tests.unit.functions.shown import ImageTooLarge, UnsupportedImage, assert_shows, function, shrunk
from tests.unit.functions.test_photo_kinds import READ

EOI, SOS = b"\xff\xd9", b"\xff\xda"
MIB = 1 << 20
TURNED = [QUADRANTS[place] for place in (2, 0, 3, 1)]  # by orientation 6

# ------------------------------------------------------------------ broken metadata is skipped

OVERLAPPING = b"".join(struct.pack("<HHII", 40_000 + number, 7, 10_000, 8) for number in range(4_000))
PROFILE_BOMB = b"k\x00\x00" + zlib.compress(bytes(20 * MIB))
PNG_CHUNKS = {
    b"gAMA": b"\x00\x00\xb1\x8f",
    b"cHRM": bytes(32),
    b"sRGB": b"\x00",
    b"pHYs": bytes(9),
    b"tEXt": b"Comment\x00hello",
    b"zTXt": b"Comment\x00\x00" + zlib.compress(b"hello"),
    b"iTXt": b"XML:com.adobe.xmp\x00\x00\x00\x00\x00<x/>",
    b"iCCP": b"p3\x00\x00" + zlib.compress(rgb_profile(DISPLAY_P3)),
    b"eXIf": exif(6).tobytes(),
    b"tRNS": bytes(6),
    b"tIME": bytes(7),
    b"bKGD": bytes(6),
    b"vpAg": bytes(9),
}
HARMLESS: dict[str, bytes] = {
    **{f"PNG: checksum of {kind!r}": png_with(chunk(kind, data, crc=1)) for kind, data in PNG_CHUNKS.items()},
    **{f"PNG: {kind!r} too short": png_with(chunk(kind, b"M")) for kind in (*PNG_CHUNKS,)[:7]},
    "PNG: a text that unpacks to 20 MB": png_with(chunk(b"zTXt", PROFILE_BOMB)),
    "PNG: a profile that unpacks to 20 MB": png_with(chunk(b"iCCP", PROFILE_BOMB)),
    "PNG: a text of 2 MB": png_with(chunk(b"tEXt", b"Comment\x00" + b"x" * (2 * MIB))),
    "PNG: thousands of texts": png_with(chunk(b"tEXt", b"a\x00b") * 20_000),
    "PNG: texts behind the picture": png_with(chunk(b"tEXt", b"a\x00b", crc=1), before=b"IEND"),
    "PNG: no end": png_with(b"")[:-12],
    "PNG: garbage after the end": png_with(b"") + bytes(1000),
    "JPEG: EXIF that is garbage": jpeg_with(segment(0xE1, b"Exif\x00\x00" + b"\xff\x00" * 50)),
    "JPEG: EXIF that is cut off": jpeg_with(segment(0xE1, b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x09")),
    "JPEG: EXIF with tags that point at the same bytes": jpeg_with(
        segment(0xE1, b"Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\xa0\x0f" + OVERLAPPING + bytes(10_004))
    ),
    "JPEG: a segment of length 0": jpeg_with(segment(0xE7, b"data", length=0)),
    "JPEG: Photoshop's resources": jpeg_with(segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff")),
    "JPEG: JFIF that is cut off": jpeg_with(segment(0xE0, b"JFIF\x00\x01")),
    "JPEG: Adobe's segment cut off": jpeg_with(segment(0xEE, b"Adob")),
    "JPEG: MPF that is garbage": jpeg_with(segment(0xE2, b"MPF\x00II\x2a\x00\xff\xff\xff\xff")),
    "JPEG: comments of 2 MB": jpeg_with(segment(0xFE, b"x" * 65_000) * 32),
    "JPEG: a profile of which a part is missing": jpeg_with(
        b"".join(segment(0xE2, b"ICC_PROFILE\x00" + bytes([n, 30]) + b"x" * 60_000) for n in range(1, 30))
    ),
    "JPEG: a profile that is garbage": jpeg_with(segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + b"x" * 400)),
    "JPEG: garbage between segments": jpeg_with(b"\x00\x01garbage\x02" * 20),
    "JPEG: fill bytes": jpeg_with(b"\xff" * 50),
    "JPEG: a film after the end, as motion photos have": jpeg_with(b"") + b"ftypmp42" + SOS * 200,
    "JPEG: a second picture after the end": jpeg_with(b"") * 2,
    "WebP: EXIF that is garbage": encode(picture(), "WEBP", exif=b"Exif\x00\x00" + b"\xff" * 50),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_broken_metadata_hinders_nothing(name: str) -> None:
    assert_shows(HARMLESS[name])


@pytest.mark.parametrize("body", [exif(6).tobytes(), exif(6).tobytes() + b"\xff\xd8 a thumbnail \xff\xd9"])
def test_exif_that_can_be_read_turns_the_photo_whatever_stands_beside_it(body: bytes) -> None:
    extra = segment(0xE1, body) + segment(0xE1, b"Exif\x00\x00garbage") + segment(0xED, b"garbage")
    assert_shows(jpeg_with(extra), TURNED)


def test_a_thumbnail_in_exif_is_not_the_photo() -> None:
    thumbnail = encode(Image.new("RGB", (160, 120), "white"), "JPEG")
    photo = jpeg_with(segment(0xE1, b"Exif\x00\x00" + thumbnail))
    assert_shows(photo)
    with pytest.raises(UnsupportedImage):  # it ends within the EXIF data
        shrunk(photo[: 40 + len(thumbnail)])


BROKEN_LENGTHS = {
    "PNG into the picture": png_with(chunk(b"tEXt", b"Comment\x00hello", length=40)),
    "PNG out of the file": png_with(chunk(b"tEXt", b"Comment\x00hello", length=2**31)),
    "JPEG over the tables": jpeg_with(segment(0xE5, b"data", length=300)),
    "JPEG out of the file": jpeg_with(segment(0xED, b"data", length=0xFFFF)),
}


@pytest.mark.parametrize("name", BROKEN_LENGTHS)
def test_a_length_that_hides_the_picture_is_refused_and_says_what_to_do(name: str) -> None:
    with pytest.raises(UnsupportedImage, match="Take the photo again, or export it as JPEG"):
        shrunk(BROKEN_LENGTHS[name])


# ------------------------------------------------------------------ cut off


def frame(width: int, height: int, components: int) -> bytes:
    """Return the head of a JPEG's frame, each component of which has as many samples."""
    numbers = range(1, components + 1)
    head = struct.pack(">BHHB", 8, height, width, components)
    return segment(0xC0, head + b"".join(bytes([number, 0x11, 0]) for number in numbers))


def scan(number: int, data: bytes) -> bytes:
    return segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + data


def jpeg_of_three_scans() -> bytes:
    """Return a JPEG that is not progressive and has each component in a scan of its own."""
    image = picture()
    planes = [encode(plane, "JPEG", quality=85) for plane in image.convert("YCbCr").split()]
    tables, rest = planes[0].split(b"\xff\xc0", 1)
    huffman = rest[rest.index(b"\xff\xc4") : rest.index(SOS)]
    scans = [scan(number, plane[plane.index(SOS) + 10 : -2]) for number, plane in enumerate(planes, start=1)]
    return tables + frame(*image.size, 3) + huffman + b"".join(scans) + EOI


@pytest.mark.parametrize("share", [0.15, 0.4, 0.7, 0.97])
@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}], ids=str)
@pytest.mark.parametrize("size", [(240, 160), (1600, 1200)], ids=str)
def test_a_jpeg_that_is_cut_off_is_refused(
    share: float, options: dict[str, Any], size: tuple[int, int]
) -> None:
    content = encode(picture(*size), "JPEG", quality=85, **options)
    with pytest.raises(UnsupportedImage, match="cut off"):
        shrunk(content[: int(share * len(content))])


@pytest.mark.parametrize("end", [EOI, bytes(3000) + EOI], ids=["end marker", "zeros and end marker"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
def test_a_jpeg_whose_missing_part_was_filled_is_shown_as_it_is(end: bytes, options: dict[str, Any]) -> None:
    content = encode(picture(), "JPEG", quality=85, **options)
    pixels = shrunk(content[: int(0.7 * len(content))] + end)
    assert np.abs(pixels[20:40, 20:40].mean((0, 1)) - QUADRANTS[0]).max() < 14


@pytest.mark.parametrize("end", [b"", b"\xff", bytes(3000)], ids=["nothing", "half a marker", "zeros"])
@pytest.mark.parametrize(
    "content",
    [
        encode(picture(), "JPEG", quality=85),
        encode(picture(), "JPEG", quality=85, progressive=True),
        encode(picture().convert("L"), "JPEG", quality=85),
        jpeg_of_three_scans(),
        encode(Image.new("RGB", (256, 264), "white"), "JPEG", optimize=True),
    ],
    ids=["baseline", "progressive", "grey", "three scans", "flat"],
)
def test_a_jpeg_that_lacks_only_its_end_is_shown(content: bytes, end: bytes) -> None:
    assert np.array_equal(shrunk(content.removesuffix(EOI) + end), shrunk(content))


@pytest.mark.parametrize("file_format", ["PNG", "GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_any_other_format_that_is_cut_off_is_refused(file_format: str, share: float) -> None:
    content = encode(picture(), file_format)
    with pytest.raises(UnsupportedImage, match="cut off"):
        shrunk(content[: int(share * len(content))])


def test_a_png_whose_pixels_end_early_and_its_file_does_not_is_refused() -> None:
    content = encode(picture(), "PNG")
    with pytest.raises(UnsupportedImage, match="cut off"):
        shrunk(content[: len(content) // 2] + content[-12:])


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_zeros_after_a_whole_photo_do_no_harm(file_format: str) -> None:
    content = encode(picture(), file_format)
    assert np.array_equal(shrunk(content + bytes(4096)), shrunk(content))


# ------------------------------------------------------------------ what decoding would cost


def jpeg_with_scans(count: int) -> bytes:
    """Return a progressive JPEG whose last scan, of ten, is repeated."""
    content = encode(picture(), "JPEG", progressive=True, quality=80)
    last = content.rindex(SOS)
    return content[:last] + content[last:-2] * count + EOI


def flat_jpeg(side: int, components: int) -> bytes:
    """Return a tiny JPEG that claims many pixels and has each component in a scan of its own."""
    tables = [segment(0xC4, bytes([kind, 1, *bytes(15), 0])) for kind in (0x00, 0x10)]
    scans = [scan(number, bytes(4)) for number in range(1, components + 1)]
    quantization = segment(0xDB, bytes([0] + [1] * 64))
    return b"".join([b"\xff\xd8", quantization, frame(side, side, components), *tables, *scans, EOI])


@pytest.mark.parametrize(
    ("size", "progressive"), [((15_750, 4_000), False), ((12_000, 9_000), False), ((10_000, 6_300), True)]
)
def test_a_large_jpeg_is_decoded_at_reduced_scale(size: tuple[int, int], progressive: bool) -> None:
    small = picture(size[0] // 50, size[1] // 50, texture=0)
    assert_shows(encode(small.resize(size, Image.Resampling.NEAREST), "JPEG", progressive=progressive))


def test_a_jpeg_may_have_four_times_the_pixels_of_others() -> None:
    content = encode(picture(200, 100), "JPEG")
    assert shrunk(content, max_pixels=5_000).shape == (100, 200, 3)
    with pytest.raises(ImageTooLarge, match="200 x 100"):
        shrunk(content, max_pixels=4_999)
    with pytest.raises(ImageTooLarge, match="for PNG"):
        shrunk(encode(picture(200, 100), "PNG"), max_pixels=19_999)


@pytest.mark.parametrize(
    ("side", "components", "limit"), [(15_400, 3, 120), (10_960, 3, 120), (9_490, 4, 90)]
)
def test_the_coefficients_of_several_scans_fit_the_memory(side: int, components: int, limit: int) -> None:
    photo = flat_jpeg(side, components)
    assert len(photo) < 256
    with pytest.raises(ImageTooLarge, match=f"limit of {limit},000,000 for a JPEG of several scans"):
        shrunk(photo)


@pytest.mark.parametrize("scans", [40, 100])
def test_a_jpeg_of_many_scans_may_have_fewer_pixels(scans: int) -> None:
    """Each scan visits every pixel."""
    photo = jpeg_with_scans(scans - 9)
    assert_shows(photo)
    place, height = photo.index(b"\xff\xc2") + 5, 240_000 // scans + 1
    with pytest.raises(
        ImageTooLarge, match=f"limit of {2_400_000_000 // scans:,} for a JPEG of several scans"
    ):
        shrunk(photo[:place] + struct.pack(">HH", height, 10_000) + photo[place + 4 :])


SMALL = picture(16, 16)
TILES = {322: (LONG, [26_752]), 323: (LONG, [26_752]), 324: (LONG, [8]), 325: (LONG, [768])}
TOO_MUCH = {
    "scans of a JPEG": (jpeg_with_scans(200), "scans, more than the limit of 100"),
    "segments of a JPEG": (jpeg_with(segment(0xFE, b"x") * 10_000), "10,000 segments"),
    "beginnings of segments": (b"\xff\xd8\xff" + b"\xff\xe1\xff\xfd" * (6 * MIB), "JPEG image"),
    "bare markers": (b"\xff\xd8\xff" + b"\xff\x01" * (12 * MIB), "segments"),
    "chunks of a PNG": (png_with(chunk(b"IDAT", b"") * 100_000), "100,000 chunks"),
    "texts of a PNG": (png_with(chunk(b"tEXt", b"") * (2 * MIB)), "100,000 chunks"),
    "a long side": (rgb_tiff(SMALL, {256: (LONG, [6 * 10**7]), 257: (LONG, [1])}), "no side"),
    "pixels of a GIF": (gif((9_000, 9_000), (0, 0, 40, 40)), "9,000 x 9,000"),
    "tiles of a TIFF": (rgb_tiff(SMALL, TILES), "TIFF image"),
    "tags of a TIFF": (b"II\x2a\x00\x08\x00\x00\x00\xff\xff" + bytes(MIB), "TIFF image"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_no_camera_writes_is_refused_before_it_costs_much(name: str) -> None:
    content, why = TOO_MUCH[name]
    with pytest.raises((UnsupportedImage, ImageTooLarge), match=why):
        shrunk(content)


def test_running_out_of_memory_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_self: Image.Image) -> None:
        raise MemoryError

    photo = encode(picture(), "BMP")
    monkeypatch.setattr(Image.Image, "load", load)
    with pytest.raises(function.errors.ImageTooCostly, match="too much memory: send a smaller one"):
        shrunk(photo)


# ------------------------------------------------------------------ any other damage

SEEDS = [make() for make, _ in READ.values()] + [
    encode(picture(24, 16), "JPEG", icc_profile=rgb_profile(DISPLAY_P3), exif=exif(6)),
    encode(picture(24, 16), "PNG", icc_profile=rgb_profile(DISPLAY_P3)),
    gif((20, 20), (5, 5, 8, 8), transparency=1),
    rgb_tiff(picture(16, 16), {274: (SHORT, [6])}, big=True),
    jpeg_with_scans(12),
]


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.data())
def test_damaged_files_raise_nothing_but_a_refusal(seed: bytes, data: st.DataObject) -> None:
    photo = bytearray(seed)
    # Headers are a small part of a file and decide most.
    places = st.one_of(st.integers(0, min(len(seed), 600) - 1), st.integers(0, len(seed) - 1))
    for position, value in data.draw(
        st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12)
    ):
        photo[position] = value
    cut = data.draw(st.one_of(st.just(len(photo)), st.integers(0, len(photo))))
    assert_shown_or_refused(bytes(photo[:cut]))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([seed[:12] for seed in SEEDS]), st.binary(max_size=300))
def test_a_signature_before_anything_raises_nothing_but_a_refusal(signature: bytes, rest: bytes) -> None:
    assert_shown_or_refused(signature + rest)


def assert_shown_or_refused(photo: bytes) -> None:
    refusal = ""
    try:
        assert max(shrunk(photo, max_pixels=1_000_000).shape[:2]) <= 224
    except (UnsupportedImage, ImageTooLarge) as exc:  # anything else fails the test
        refusal = str(exc)
    assert " object at 0x" not in refusal
