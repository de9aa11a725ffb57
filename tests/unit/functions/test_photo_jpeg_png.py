"""SerializeImage on JPEG and PNG files that are unusual, damaged in unusual ways, or made to cost much."""

import contextlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.photo_files import (
    DISPLAY_P3,
    QUADRANTS,
    chunk,
    encode,
    exif_with_thumbnail,
    flat_jpeg,
    jpeg_of_three_scans,
    jpeg_with,
    jpeg_with_scans,
    picture,
    png_chunks,
    png_passes,
    png_with,
    rgb_profile,
    segment,
    through_profile,
)
from tests.unit.functions.test_photo_kinds import (
    ImageTooLarge,
    UnsupportedImage,
    assert_shows,
    corners,
    function,
    shrunk,
)

EOI, SOS = b"\xff\xd9", b"\xff\xda"
LARGEST = 25 << 20  # bytes of a photo, as template.yaml has it


class CountedBytes(bytes):
    """Counts the bytes that are copied out of it."""

    copied = 0

    def __getitem__(self, place: Any) -> Any:
        """Return a byte or some."""
        part = super().__getitem__(place)
        if isinstance(part, bytes):
            self.copied += len(part)
        return part


def assert_linear(photo: bytes, read: Any) -> None:
    """Assert that reading copies no more than a few times the file."""
    counted = CountedBytes(photo)
    with contextlib.suppress(UnsupportedImage):
        read(counted)
    assert counted.copied <= 4 * len(photo)


def read_jpeg(photo: bytes) -> Any:
    return function.jpeg.read_jpeg(photo, 240_000_000)


def plainly_reduced(photo: bytes, size: tuple[int, int]) -> npt.NDArray[np.int16]:
    image = Image.open(io.BytesIO(photo)).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(image).astype(np.int16)


def assert_as_pillow_shows(photo: bytes) -> None:
    pixels = shrunk(photo)
    assert np.abs(pixels - plainly_reduced(photo, (pixels.shape[1], pixels.shape[0]))).max() < 25


# ------------------------------------------------------------------ JPEG: zeros at the end of scans


def letterboxed() -> list[bytes]:
    """Return whole progressive JPEGs with a scan that ends in zeros, as flat areas make them."""
    photos = []
    for width in range(300, 340):
        image = Image.new("RGB", (width, 400))
        image.paste(picture(width, 150), (0, 0))
        photo = encode(image, "JPEG", quality=85, progressive=True)
        if photo.count(bytes(16) + b"\xff"):
            photos.append(photo)
    return photos


def test_a_progressive_jpeg_with_a_flat_part_is_shown() -> None:
    photos = letterboxed()
    assert photos
    for photo in photos:
        assert_as_pillow_shows(photo)


FLAT = {
    f"{mode} {level}": encode(Image.new(mode, (256, 264), level), "JPEG", optimize=True)
    for mode, level in (("L", 255), ("L", 60), ("RGB", "white"), ("RGB", (60, 60, 60)))
}


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_jpeg_whose_data_is_zeros_is_shown(name: str) -> None:
    photo = FLAT[name]
    assert photo.endswith(bytes(16) + EOI)
    assert_as_pillow_shows(photo)


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_jpeg_with_fewer_or_more_zeros_is_refused(name: str) -> None:
    data = FLAT[name].removesuffix(EOI)
    for changed in (data[:-100], data[:-100] + bytes(4096)):
        for end in (b"", EOI):
            with pytest.raises(UnsupportedImage, match="cut off"):
                shrunk(changed + end)


# ------------------------------------------------------------------ JPEG: a missing end, missing scans

WHOLE = {
    "baseline": encode(picture(), "JPEG", quality=85),
    "progressive": encode(picture(), "JPEG", quality=85, progressive=True),
    "restart markers": encode(picture(), "JPEG", quality=85, restart_marker_rows=1),
    "grey": encode(picture().convert("L"), "JPEG", quality=85),
    "three scans": jpeg_of_three_scans(picture()),
    "of a phone's size": encode(picture(1600, 1200), "JPEG", quality=85),
}


@pytest.mark.parametrize("end", [b"", b"\xff", bytes(3000)], ids=["nothing", "half a marker", "zeros"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_jpeg_that_lacks_only_its_end_is_shown(name: str, end: bytes) -> None:
    photo = WHOLE[name]
    assert np.array_equal(shrunk(photo.removesuffix(EOI) + end), shrunk(photo))


def scans_of(photo: bytes) -> list[int]:
    return [place for place in range(len(photo)) if photo[place : place + 2] == SOS]


@pytest.mark.parametrize("end", [b"", bytes(3000), bytes(3000) + EOI], ids=["nothing", "zeros", "both"])
@pytest.mark.parametrize("name", ["progressive", "three scans"])
def test_a_jpeg_that_is_cut_off_between_scans_is_refused(name: str, end: bytes) -> None:
    photo = WHOLE[name]
    for place in scans_of(photo):
        with pytest.raises(UnsupportedImage, match="cut off"):
            shrunk(photo[:place] + end)


def test_a_jpeg_that_ends_before_all_of_its_colour_is_refused() -> None:
    for name, first in (("three scans", 2), ("progressive", 6)):
        for place in scans_of(WHOLE[name])[1 : first + 1]:
            with pytest.raises(UnsupportedImage, match="cut off"):
                shrunk(WHOLE[name][:place] + EOI)


def test_a_progressive_jpeg_that_ends_before_the_last_detail_is_shown() -> None:
    photo = WHOLE["progressive"]
    assert_shows(photo[: scans_of(photo)[-1]] + EOI)


# ------------------------------------------------------------------ JPEG: metadata

THUMBNAIL = encode(Image.new("RGB", (160, 120), "white"), "JPEG")
TURNED = [QUADRANTS[place] for place in (2, 0, 3, 1)]  # by orientation 6


def with_damage(marker: int, body: bytes, longer: int, after: bytes) -> bytes:
    return segment(marker, body, length=len(body) + 2 + longer) + after


DAMAGE = {
    "a zero after it": (0, b"\x00"),
    "garbage after it": (0, b"garbage"),
    "1 too long": (1, b""),
    "2 too long": (2, b""),
    "3 too short": (-3, b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_thumbnail_in_a_damaged_segment_is_not_the_photo(damage: str) -> None:
    photo = jpeg_with(
        with_damage(0xE1, exif_with_thumbnail(6, THUMBNAIL), *DAMAGE[damage]),
        icc_profile=rgb_profile(DISPLAY_P3),
    )
    assert_shows(photo, [through_profile(colour, DISPLAY_P3) for colour in TURNED])
    photoshop = jpeg_with(with_damage(0xED, b"Photoshop 3.0\x00" + THUMBNAIL, *DAMAGE[damage]))
    assert_shows(photoshop)


@pytest.mark.parametrize("length", [60, 90, 160, 200, 400])
def test_a_length_that_hides_tables_does_not_hinder(length: int) -> None:
    assert_shows(jpeg_with(segment(0xE5, b"data", length=length)))


def test_jfif_tells_that_colours_are_ycbcr_whatever_else_does() -> None:
    assert_shows(jpeg_with(segment(0xEE, b"Adobe\x00\x64" + bytes(5))))
    photo = bytearray(encode(picture(), "JPEG", quality=90))
    frame, scan = photo.index(b"\xff\xc0"), photo.index(SOS)
    for index, number in enumerate(b"RGB"):
        photo[frame + 10 + 3 * index] = photo[scan + 5 + 2 * index] = number
    assert_shows(bytes(photo))


def test_without_jfif_adobe_and_the_components_tell_the_colours() -> None:
    photo = encode(picture(), "JPEG", quality=90, keep_rgb=True)
    assert b"JFIF" not in photo
    assert_shows(photo)


# ------------------------------------------------------------------ JPEG: what would cost much

FLOODS = {
    "beginnings of large segments": b"\xff\xe1\xff\xfd",
    "empty segments": b"\xff\xe1\x00\x02",
    "empty comments": b"\xff\xfe\x00\x02",
    "segments of length 0": b"\xff\xe1\x00\x00",
    "markers without a segment": b"\xff\x01",
    "scans": segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
    "tables": segment(0xC4, bytes(17)),
    "fill bytes": b"\xff",
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_jpeg_of_nothing_but_markers_is_refused_soon(name: str) -> None:
    flood = FLOODS[name]
    photo = b"\xff\xd8\xff" + flood * ((2 << 20) // len(flood))
    assert_linear(photo, read_jpeg)
    photo = b"\xff\xd8\xff" + flood * ((LARGEST - 3) // len(flood))
    with pytest.raises(UnsupportedImage, match=r"segments|cut off"):
        shrunk(photo)


def test_a_jpeg_has_no_more_segments_than_the_limit() -> None:
    comment = segment(0xFE, b"x")
    assert_shows(jpeg_with(comment * 9_000))
    with pytest.raises(UnsupportedImage, match="more than 10,000 segments"):
        shrunk(jpeg_with(comment * 10_000))


@pytest.mark.parametrize(
    ("width", "height", "components", "limit"),
    [(15_400, 15_500, 3, 120), (15_400, 15_500, 4, 90), (10_960, 10_960, 3, 120), (9_490, 9_490, 4, 90)],
)
def test_the_coefficients_of_several_scans_fit_the_memory(
    width: int, height: int, components: int, limit: int
) -> None:
    photo = flat_jpeg(width, height, components)
    assert len(photo) < 256
    with pytest.raises(ImageTooLarge, match=f"limit of {limit},000,000 for a JPEG of several scans"):
        shrunk(photo)


@pytest.mark.parametrize(("side", "components"), [(10_950, 3), (9_480, 4)])
def test_a_jpeg_of_several_scans_may_have_as_many_pixels_as_fit(side: int, components: int) -> None:
    assert read_jpeg(flat_jpeg(side, side, components)).progressive


@pytest.mark.parametrize("scans", [20, 40, 100])
def test_a_jpeg_of_many_scans_may_have_fewer_pixels(scans: int) -> None:
    """Each scan visits every pixel."""
    photo = jpeg_with_scans(scans - 9)  # beside the nine before the last
    place = photo.index(b"\xff\xc2") + 5
    limit = 2_400_000_000 // scans

    def of_height(height: int) -> bytes:
        return photo[:place] + struct.pack(">HH", height, 10_000) + photo[place + 4 :]

    assert read_jpeg(of_height(limit // 10_000)).scans == scans
    with pytest.raises(ImageTooLarge, match=f"limit of {limit:,} for a progressive JPEG"):
        read_jpeg(of_height(limit // 10_000 + 1))


# ------------------------------------------------------------------ JPEG: what is not supported


@pytest.mark.parametrize(
    ("marker", "precision", "reason"),
    [
        (0xC1, 12, "12 bits a sample"),
        (0xC3, 16, "16 bits a sample"),
        (0xF7, 8, "a JPEG-LS image"),
        (0xC5, 8, "hierarchical"),
        (0xC9, 8, "arithmetic coding"),
    ],
)
def test_a_jpeg_that_is_not_supported_is_named(marker: int, precision: int, reason: str) -> None:
    photo = bytearray(encode(picture(), "JPEG"))
    frame = photo.index(b"\xff\xc0")
    photo[frame + 1], photo[frame + 4] = marker, precision
    with pytest.raises(UnsupportedImage, match=f"{reason}.*convert it"):
        shrunk(bytes(photo))


# ------------------------------------------------------------------ PNG: what would cost much

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png(header: bytes, *chunks: bytes) -> bytes:
    return SIGNATURE + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def header_of(width: int, height: int, *, depth: int = 8, colour_type: int = 2, interlaced: int = 0) -> bytes:
    return struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)


def test_checksums_behind_a_damaged_length_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    crc32 = zlib.crc32

    def counted(data: bytes, *start: int) -> int:
        checked.append(len(data))
        return crc32(data, *start)

    size = 1 << 20
    photo = png(header_of(10, 10), struct.pack(">I", 0x7FFFFFFF) + b"tEXt") + size // 8 * (
        struct.pack(">I", size // 2) + b"IDAT"
    )
    monkeypatch.setattr(zlib, "crc32", counted)
    with pytest.raises(UnsupportedImage):
        shrunk(photo)
    assert sum(checked) <= 5 * len(photo)
    checked.clear()
    assert_shows(png_with(chunk(b"tEXt", b"Comment\x00hello", length=2**31)))
    assert len(checked) < 40


@pytest.mark.parametrize("size", [1, 100, 4096])
def test_pixels_in_many_small_chunks_are_shown(size: int) -> None:
    packed = b"".join(data for kind, data in png_chunks(encode(picture(), "PNG")) if kind == b"IDAT")
    parts = (chunk(b"IDAT", packed[place : place + size]) for place in range(0, len(packed), size))
    photo = png(header_of(240, 160), *parts)
    assert_shows(photo)
    core = function.png.read_png(photo).core
    assert [kind for kind, _ in png_chunks(core)] == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize("kind", [b"IDAT", b"tEXt", b"PLTE", b"tRNS", b"IHDR"])
@pytest.mark.parametrize("data", [b"", b"x"])
def test_a_png_of_millions_of_chunks_is_refused_soon(kind: bytes, data: bytes) -> None:
    one = chunk(kind, data)
    with pytest.raises(UnsupportedImage, match="more than 100,000 chunks"):
        shrunk(png(header_of(20, 20), one * (LARGEST // len(one))))


def test_one_profile_of_a_png_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = chunk(b"iCCP", b"p3\x00\x00" + zlib.compress(rgb_profile(DISPLAY_P3)))
    bomb = chunk(b"iCCP", b"k\x00\x00" + zlib.compress(bytes(3 << 20)))
    unpacked: list[bytes] = []
    inflated = function.png._inflated_profile  # noqa: SLF001

    def counted(data: bytes) -> Any:
        unpacked.append(data)
        return inflated(data)

    monkeypatch.setattr(function.png, "_inflated_profile", counted)
    assert_shows(
        png_with(profile + bomb * 100), [through_profile(colour, DISPLAY_P3) for colour in QUADRANTS]
    )
    assert len(unpacked) == 1


# ------------------------------------------------------------------ PNG: missing rows


def rows_of(image: Image.Image) -> bytes:
    width = image.width * len(image.getbands())
    pixels = image.tobytes()
    return b"".join(b"\x00" + pixels[place : place + width] for place in range(0, len(pixels), width))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("rows", [0, 1, 80, 159])
def test_a_png_whose_pixels_end_early_is_refused(rows: int, mode: str) -> None:
    image = picture().convert(mode)
    header = header_of(240, 160, colour_type={"L": 0, "RGB": 2, "RGBA": 6}[mode])
    data = rows_of(image)
    assert_shows(png(header, chunk(b"IDAT", zlib.compress(data))), corners(shrunk(encode(image, "PNG"))))
    with pytest.raises(UnsupportedImage):
        shrunk(png(header, chunk(b"IDAT", zlib.compress(data[: rows * len(data) // 160]))))


@pytest.mark.parametrize("height", [20, 21])
def test_an_interlaced_png_whose_last_pass_is_missing_is_refused(height: int) -> None:
    header = header_of(21, height, depth=1, colour_type=0, interlaced=1)
    white = [(b"\x00" + b"\xff" * row) * rows for row, rows in png_passes(21, height, 1, interlaced=True)]
    assert shrunk(png(header, chunk(b"IDAT", zlib.compress(b"".join(white))))).min() == 255
    with pytest.raises(UnsupportedImage, match="cut off"):
        shrunk(png(header, chunk(b"IDAT", zlib.compress(b"".join(white[:-1])))))


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(
    ("depth", "colour_type"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (16, 4), (8, 6)]
)
def test_a_black_png_is_shown(depth: int, colour_type: int, interlace: int) -> None:
    """Its end looks as if it was missing."""
    bits = depth * {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    size = sum((1 + row) * rows for row, rows in png_passes(35, 33, bits, interlaced=bool(interlace)))
    header = header_of(35, 33, depth=depth, colour_type=colour_type, interlaced=interlace)
    assert shrunk(png(header, chunk(b"IDAT", zlib.compress(bytes(size))))).shape == (33, 35, 3)
    with pytest.raises(UnsupportedImage):
        shrunk(png(header, chunk(b"IDAT", zlib.compress(bytes(size - 1)))))


# ------------------------------------------------------------------ what a refusal says


def refusal_of(photo: bytes) -> str:
    """Return what the refusal says; empty if the photo is shown."""
    try:
        shrunk(photo)
    except (UnsupportedImage, ImageTooLarge) as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF"])
def test_a_refusal_names_no_object_of_python(file_format: str) -> None:
    photo = encode(picture(), file_format)
    for start in range(12, 60):
        for value in (0, 0x7F, 0xFF):
            damaged = photo[:start] + bytes([value]) * 4 + photo[start + 4 :]
            assert " object at 0x" not in refusal_of(damaged)
