"""SerializeImage on files of every kind: what is shown, what is refused, and what the refusal says."""

import contextlib
import io
import struct
import sys
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.photo_files import (
    ADOBE_RGB,
    BLUE,
    DISPLAY_P3,
    GREEN,
    QUADRANTS,
    RED,
    WHITE,
    YELLOW,
    chunk,
    encode,
    exif,
    gif,
    grey_profile,
    jpeg_of_three_scans,
    jpeg_with,
    jpeg_with_scans,
    picture,
    png_chunks,
    png_of_samples,
    png_with,
    rgb_profile,
    segment,
    through_profile,
)
from tests.support.sam_app import load_function

function = load_function("serialize_image")
UnsupportedImage = function.errors.UnsupportedImage
ImageTooLarge = function.errors.ImageTooLarge

Colour = tuple[int, ...]
MIB = 1 << 20


def shrunk(photo: bytes, max_pixels: int = 60_000_000) -> npt.NDArray[np.int16]:
    """Return the pixels of the result."""
    result = function.imaging.shrink(photo, longest_side=224, max_pixels=max_pixels)
    return np.asarray(Image.open(io.BytesIO(result.data))).astype(np.int16)


def corners(pixels: npt.NDArray[np.int16]) -> list[Colour]:
    """Return the mean colour of each quadrant's middle: top left, top right, bottom left, bottom right."""
    height, width, _ = pixels.shape
    places = [(y, x) for y in (height // 8, height * 5 // 8) for x in (width // 8, width * 5 // 8)]
    quarters = [pixels[y : y + height // 4, x : x + width // 4] for y, x in places]
    return [tuple(int(value) for value in quarter.mean((0, 1))) for quarter in quarters]


def assert_shows(photo: bytes, expected: Any = QUADRANTS, tolerance: int = 14) -> None:
    found = corners(shrunk(photo))
    difference = np.abs(np.array(found) - np.array(expected)).max()
    assert difference <= tolerance, f"{found} instead of {expected}"


def grey(colour: Colour) -> Colour:
    return (round(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]),) * 3


def alpha_picture() -> Image.Image:
    """Return the picture with its top left quadrant transparent."""
    image = picture().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 120, 80))
    return image


def with_alpha() -> list[Colour]:
    return [WHITE, GREEN, BLUE, YELLOW]


# ------------------------------------------------------------------ formats

GREYS = [grey(colour) for colour in QUADRANTS]
READ: dict[str, tuple[Callable[[], bytes], Any]] = {
    "jpeg": (partial(encode, picture(), "JPEG"), QUADRANTS),
    "jpeg 4:4:4": (partial(encode, picture(), "JPEG", subsampling=0), QUADRANTS),
    "jpeg progressive": (partial(encode, picture(), "JPEG", progressive=True), QUADRANTS),
    "jpeg with restart markers": (partial(encode, picture(), "JPEG", restart_marker_rows=1), QUADRANTS),
    "jpeg grey": (partial(encode, picture().convert("L"), "JPEG"), GREYS),
    "jpeg cmyk": (partial(encode, picture().convert("CMYK"), "JPEG", quality=95), QUADRANTS),
    "mpo": (
        partial(encode, picture(), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        QUADRANTS,
    ),
    "png": (partial(encode, picture(), "PNG"), QUADRANTS),
    "png rgba": (partial(encode, alpha_picture(), "PNG"), with_alpha()),
    "png grey": (partial(encode, picture().convert("L"), "PNG"), GREYS),
    "png palette": (
        partial(encode, picture(texture=0).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        QUADRANTS,
    ),
    "png animated": (
        partial(encode, picture(), "PNG", save_all=True, append_images=[Image.new("RGB", (240, 160))]),
        QUADRANTS,
    ),
    "gif": (partial(encode, picture(texture=0), "GIF"), QUADRANTS),
    "webp": (partial(encode, picture(), "WEBP"), QUADRANTS),
    "webp lossless with alpha": (partial(encode, alpha_picture(), "WEBP", lossless=True), with_alpha()),
    "avif": (partial(encode, picture(), "AVIF"), QUADRANTS),
    "avif with alpha": (partial(encode, alpha_picture(), "AVIF"), with_alpha()),
    "heic": (partial(encode, picture(), "HEIF"), QUADRANTS),
    "heic with alpha": (partial(encode, alpha_picture(), "HEIF"), with_alpha()),
    "bmp 24": (partial(encode, picture(), "BMP"), QUADRANTS),
    "bmp grey": (partial(encode, picture().convert("L"), "BMP"), GREYS),
    "bmp palette": (
        partial(encode, picture(texture=0).convert("P", palette=Image.Palette.ADAPTIVE), "BMP"),
        QUADRANTS,
    ),
    "tiff": (partial(encode, picture(), "TIFF"), QUADRANTS),
    "tiff lzw": (partial(encode, picture(), "TIFF", compression="tiff_lzw"), QUADRANTS),
    "tiff deflate": (partial(encode, picture(), "TIFF", compression="tiff_adobe_deflate"), QUADRANTS),
    "tiff jpeg": (partial(encode, picture(), "TIFF", compression="jpeg"), QUADRANTS),
    "tiff cmyk": (partial(encode, picture().convert("CMYK"), "TIFF"), QUADRANTS),
    "tiff rgba": (partial(encode, alpha_picture(), "TIFF"), with_alpha()),
    "tiff pages": (
        partial(encode, picture(), "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]),
        QUADRANTS,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_a_readable_format_is_shown(name: str) -> None:
    make, expected = READ[name]
    assert_shows(make(), expected, tolerance=18)


REFUSED: dict[str, tuple[bytes, str]] = {
    "jpeg 2000": (encode(picture(), "JPEG2000"), "a JPEG 2000 image"),
    "jpeg 2000 codestream": (encode(picture(), "JPEG2000", no_jp2=True), "a JPEG 2000 image"),
    "jpeg xl": (b"\xff\x0a" + bytes(60), "a JPEG XL image"),
    "jpeg xl container": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(60), "a JPEG XL image"),
    "icon": (encode(picture(64, 64), "ICO"), "an icon"),
    "ppm": (encode(picture(), "PPM"), "a Netpbm image"),
    "photoshop": (b"8BPS\x00\x01" + bytes(60), "a Photoshop document"),
    "canon raw": (b"II\x2a\x00\x10\x00\x00\x00CR\x02\x00" + bytes(60), "a Canon raw photo"),
    "canon raw 3": (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(60), "a Canon raw photo"),
    "fujifilm raw": (b"FUJIFILMCCD-RAW 0201" + bytes(60), "a Fujifilm raw photo"),
    "pdf": (encode(picture(), "PDF"), "a PDF document"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
    "live photo's edits": (b'<?xml version="1.0"?><!DOCTYPE plist><plist version="1.0"/>', "a property list"),
    "live photo's film": (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(60), "a QuickTime film"),
    "old film": (b"\x00\x00\x10\x00moov" + bytes(60), "a QuickTime film"),
    "film": (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(60), "a film"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(60), "a Matroska or WebM film"),
    "avi": (b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(60), "an AVI film"),
    ".DS_Store": (b"\x00\x00\x00\x01Bud1" + bytes(60), "a folder's settings"),
    "._photo.jpg": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(60), "a file's metadata from macOS"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), "an OLE document"),
    "zip": (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
    "text": (b"not a photo\n", "a text"),
    "empty": (b"", "the file is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_what_the_file_is(name: str) -> None:
    content, kind = REFUSED[name]
    with pytest.raises(UnsupportedImage, match=kind):
        shrunk(content)


def test_a_refusal_of_heic_on_python_311_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnsupportedImage, match=r"a HEIC image.*PythonRuntime=python3\.12"):
        shrunk(encode(picture(), "HEIF"))


# ------------------------------------------------------------------ damage that a browser shows through

BOMB = b"k\x00\x00" + zlib.compress(bytes(20 * MIB))
HARMLESS_PNG: dict[str, bytes] = {
    **{
        f"{kind.decode()} with a wrong checksum": png_with(chunk(kind, data, crc=1))
        for kind, data in {
            b"gAMA": b"\x00\x00\xb1\x8f",
            b"cHRM": bytes(32),
            b"sRGB": b"\x00",
            b"pHYs": bytes(9),
            b"tEXt": b"Comment\x00hello",
            b"zTXt": b"Comment\x00\x00" + zlib.compress(b"hello"),
            b"iTXt": b"XML:com.adobe.xmp\x00\x00\x00\x00\x00<x/>",
            b"iCCP": b"p3\x00\x00" + zlib.compress(rgb_profile(DISPLAY_P3)),
            b"eXIf": b"MM\x00\x2a\x00\x00\x00\x08\x00\x00",
            b"tIME": bytes(7),
            b"bKGD": bytes(6),
            b"vpAg": bytes(9),
        }.items()
    },
    **{
        f"{kind.decode()} of a wrong length": png_with(chunk(kind, data))
        for kind, data in {
            b"gAMA": b"\x00",
            b"pHYs": b"\x00\x00",
            b"sRGB": b"",
            b"cHRM": bytes(7),
            b"eXIf": b"M",
        }.items()
    },
    "a length that leads into the picture": png_with(chunk(b"tEXt", b"Comment\x00hello", length=40)),
    "a length that leads out of the file": png_with(chunk(b"tEXt", b"Comment\x00hello", length=2**31)),
    "a text that unpacks to 20 MB": png_with(chunk(b"zTXt", BOMB)),
    "a profile that unpacks to 20 MB": png_with(chunk(b"iCCP", BOMB)),
    "a text of 2 MB": png_with(chunk(b"tEXt", b"Comment\x00" + b"x" * (2 * MIB))),
    "an XMP of 2 MB": png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + b"x" * (2 * MIB))),
    "thousands of texts": png_with(chunk(b"tEXt", b"a\x00b") * 20_000),
    "no end": png_with(b"")[:-12],
    "a damaged end": png_with(b"")[:-4] + b"\x00\x00\x00\x00",
    "garbage after the end": png_with(b"") + bytes(1000),
}
HARMLESS_JPEG: dict[str, bytes] = {
    "EXIF that is garbage": jpeg_with(segment(0xE1, b"Exif\x00\x00" + b"\xff\x00" * 50)),
    "EXIF that is cut off": jpeg_with(segment(0xE1, b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x09")),
    "a segment too long": jpeg_with(segment(0xE5, b"data", length=300)),
    "a segment out of the file": jpeg_with(segment(0xED, b"data", length=0xFFFF)),
    "a segment of length 0": jpeg_with(segment(0xE7, b"data", length=0)),
    "a segment of length 1": jpeg_with(segment(0xE7, b"data", length=1)),
    "Photoshop's resources that are garbage": jpeg_with(
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff")
    ),
    "JFIF that is cut off": jpeg_with(segment(0xE0, b"JFIF\x00\x01")),
    "Adobe's segment cut off": jpeg_with(segment(0xEE, b"Adob")),
    "MPF that is garbage": jpeg_with(segment(0xE2, b"MPF\x00II\x2a\x00\xff\xff\xff\xff")),
    "comments of 2 MB": jpeg_with(segment(0xFE, b"x" * 65_000) * 32),
    "a profile in 30 parts of which one is missing": jpeg_with(
        b"".join(segment(0xE2, b"ICC_PROFILE\x00" + bytes([n, 30]) + b"x" * 60_000) for n in range(1, 30))
    ),
    "a profile that is garbage": jpeg_with(segment(0xE2, b"ICC_PROFILE\x00\x01\x01" + b"x" * 400)),
    "garbage between segments": jpeg_with(b"\x00\x01garbage\x02" * 20),
    "fill bytes": jpeg_with(b"\xff" * 50),
    "garbage after the end": jpeg_with(b"") + b"garbage" * 100,
    "a second picture after the end": jpeg_with(b"") * 2,
}


@pytest.mark.parametrize("name", HARMLESS_PNG)
def test_a_png_whose_pixels_are_whole_is_shown(name: str) -> None:
    assert_shows(HARMLESS_PNG[name])


@pytest.mark.parametrize("name", HARMLESS_JPEG)
def test_a_jpeg_whose_pixels_are_whole_is_shown(name: str) -> None:
    assert_shows(HARMLESS_JPEG[name])


ENDS = {"nothing": b"", "the end marker": b"\xff\xd9", "zeros": bytes(3000) + b"\xff\xd9"}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("share", [0.15, 0.4, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
@pytest.mark.parametrize("size", [(240, 160), (1600, 1200)], ids=str)
def test_a_jpeg_that_is_cut_off_is_refused_whatever_ends_it(
    end: str, share: float, options: dict[str, Any], size: tuple[int, int]
) -> None:
    content = encode(picture(*size), "JPEG", quality=85, **options)
    with pytest.raises(UnsupportedImage):
        shrunk(content[: int(share * len(content))] + ENDS[end])


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["nothing", "the end marker"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_jpeg_that_lacks_a_part_of_its_colour_is_refused(share: float, end: bytes) -> None:
    content = jpeg_of_three_scans(picture(240, 160))
    assert_shows(content)
    last = content.rindex(b"\xff\xda")
    with pytest.raises(UnsupportedImage):
        shrunk(content[: last + int(share * (len(content) - last))] + end)


def test_arithmetic_coding_is_named() -> None:
    content = encode(picture(), "JPEG").replace(b"\xff\xc0", b"\xff\xc9", 1)
    with pytest.raises(UnsupportedImage, match="arithmetic coding"):
        shrunk(content)


@pytest.mark.parametrize("corner", ["detail", "white"])
def test_a_large_photo_is_decoded_once(monkeypatch: pytest.MonkeyPatch, corner: str) -> None:
    """The second decoding, which tells whether it is cut off, costs as much as the first."""
    noise = np.random.default_rng(1).integers(-60, 60, (3000, 4000, 3))
    pixels = (np.asarray(picture(4000, 3000)).astype("int16") + noise).clip(0, 255).astype("uint8")
    if corner == "white":
        pixels[-500:, -500:] = 255
    content = encode(Image.fromarray(pixels), "JPEG", quality=85)
    decode = function.decode
    calls: list[str] = []
    reduced = decode._reduced_jpeg  # noqa: SLF001

    def counted(core: bytes, kind: str, target_side: int) -> Any:
        calls.append(kind)
        return reduced(core, kind, target_side)

    monkeypatch.setattr(decode, "_reduced_jpeg", counted)
    shrunk(content)
    assert len(calls) == 1
    calls.clear()
    with pytest.raises(UnsupportedImage):
        shrunk(content[: len(content) // 2] + b"\xff\xd9")
    assert len(calls) == 2


@pytest.mark.parametrize(
    "end", [b"", b"\x00\x00\x00\x00IEND\xaeB`\x82", bytes(200)], ids=["nothing", "IEND", "zeros"]
)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_png_that_is_cut_off_is_refused_whatever_ends_it(end: bytes, share: float) -> None:
    header, *data, _ = [chunk(*one) for one in png_chunks(encode(picture(), "PNG"))]
    content = b"".join(data)
    with pytest.raises(UnsupportedImage):
        shrunk(b"\x89PNG\r\n\x1a\n" + header + content[: int(share * len(content))] + end)


def test_a_png_with_a_wrong_checksum_of_its_pixels_is_refused() -> None:
    chunks = png_chunks(encode(picture(), "PNG"))
    content = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(k, d, crc=7 if k == b"IDAT" else None) for k, d in chunks)
    with pytest.raises(UnsupportedImage):
        shrunk(content)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "AVIF", "HEIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_any_other_format_that_is_cut_off_is_refused(file_format: str, share: float) -> None:
    content = encode(picture(), file_format)
    with pytest.raises(UnsupportedImage):
        shrunk(content[: int(share * len(content))])


# ------------------------------------------------------------------ colour

P3 = rgb_profile(DISPLAY_P3)
ADOBE = rgb_profile(ADOBE_RGB)


@pytest.mark.parametrize(
    ("profile", "primaries"), [(P3, DISPLAY_P3), (ADOBE, ADOBE_RGB)], ids=["P3", "Adobe RGB"]
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_a_wide_gamut_is_converted_to_srgb(file_format: str, profile: bytes, primaries: Any) -> None:
    expected = [through_profile(colour, primaries) for colour in QUADRANTS]
    assert np.abs(np.array(expected) - np.array(QUADRANTS)).max() > 12
    assert_shows(encode(picture(), file_format, icc_profile=profile), expected, tolerance=10)


def test_a_profile_is_applied_under_transparency() -> None:
    expected = [WHITE, *(through_profile(colour, DISPLAY_P3) for colour in (GREEN, BLUE, YELLOW))]
    assert_shows(encode(alpha_picture(), "PNG", icc_profile=P3), expected, tolerance=10)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_grey_profile_is_applied(file_format: str) -> None:
    image = Image.new("L", (64, 64), 128)
    level = (128 / 255) ** 1.0  # gamma 1: 128 is half of the light, which sRGB writes as 188
    expected = round(255 * (1.055 * level ** (1 / 2.4) - 0.055))
    pixel = shrunk(encode(image, file_format, icc_profile=grey_profile(1.0)))[32, 32]
    assert np.abs(pixel - expected).max() <= 4


@pytest.mark.parametrize(
    "profile", [b"x" * 400, P3[:200], P3[:128], grey_profile(2.2), P3.replace(b"acsp", b"xxxx")], ids=range(5)
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF"])
def test_a_damaged_or_unfitting_profile_is_left_out(file_format: str, profile: bytes) -> None:
    assert_shows(encode(picture(), file_format, icc_profile=profile))


KEYED: dict[str, tuple[bytes, Colour]] = {
    **{
        f"grey of {depth} bits": (
            png_of_samples(
                [[0, (1 << depth) - 1] * 8] * 16, depth, 0, [chunk(b"tRNS", struct.pack(">H", 0))]
            ),
            (255, 255, 255),
        )
        for depth in (1, 2, 4, 8, 16)
    },
    "grey of 2 bits, a middle level": (
        png_of_samples([[2] * 16] * 16, 2, 0, [chunk(b"tRNS", struct.pack(">H", 2))]),
        (255, 255, 255),
    ),
    "grey of 2 bits, another level": (
        png_of_samples([[2] * 16] * 16, 2, 0, [chunk(b"tRNS", struct.pack(">H", 1))]),
        (170, 170, 170),
    ),
    "grey of 16 bits, another level": (
        png_of_samples([[0x8000] * 16] * 16, 16, 0, [chunk(b"tRNS", struct.pack(">H", 0x8001))]),
        (128, 128, 128),
    ),
    "RGB of 8 bits": (
        png_of_samples([[*RED] * 16] * 16, 8, 2, [chunk(b"tRNS", struct.pack(">HHH", *RED))]),
        (255, 255, 255),
    ),
    "RGB of 16 bits": (
        png_of_samples(
            [[v * 257 for v in RED] * 16] * 16,
            16,
            2,
            [chunk(b"tRNS", struct.pack(">HHH", *(v * 257 for v in RED)))],
        ),
        (255, 255, 255),
    ),
    "RGB of 8 bits, another colour": (
        png_of_samples([[*RED] * 16] * 16, 8, 2, [chunk(b"tRNS", struct.pack(">HHH", *GREEN))]),
        RED,
    ),
    "a key with a wrong checksum": (
        png_of_samples([[*RED] * 16] * 16, 8, 2, [chunk(b"tRNS", struct.pack(">HHH", *RED), crc=1)]),
        RED,
    ),
}


@pytest.mark.parametrize("name", KEYED)
def test_a_transparent_colour_goes_on_white(name: str) -> None:
    content, expected = KEYED[name]
    assert np.abs(shrunk(content).mean((0, 1)) - expected).max() <= 2


# ------------------------------------------------------------------ size and cost


@pytest.mark.parametrize(
    ("size", "progressive"), [((15_750, 4_000), False), ((12_000, 9_000), False), ((10_000, 6_300), True)]
)
def test_a_large_jpeg_is_decoded_at_reduced_scale(size: tuple[int, int], progressive: bool) -> None:
    content = encode(
        picture(size[0] // 50, size[1] // 50, texture=0).resize(size, Image.Resampling.NEAREST),
        "JPEG",
        progressive=progressive,
    )
    assert_shows(content)


def test_a_jpeg_may_have_four_times_the_pixels_of_others() -> None:
    content = encode(picture(200, 100), "JPEG")
    assert shrunk(content, max_pixels=5_000).shape == (100, 200, 3)
    with pytest.raises(ImageTooLarge, match="200 x 100"):
        shrunk(content, max_pixels=4_999)
    with pytest.raises(ImageTooLarge, match="for PNG"):
        shrunk(encode(picture(200, 100), "PNG"), max_pixels=19_999)


@pytest.mark.parametrize("scans", [200, 5000])
def test_a_jpeg_with_absurdly_many_scans_is_refused_before_it_is_decoded(scans: int) -> None:
    with pytest.raises(UnsupportedImage, match="scans"):
        shrunk(jpeg_with_scans(scans))


def test_a_run_length_encoded_bitmap_may_not_be_large() -> None:
    header = struct.pack("<IiiHHIIiiII", 40, 3000, 3000, 1, 8, 1, 0, 0, 0, 0, 0)
    content = (
        b"BM" + struct.pack("<IHHI", 5000, 0, 0, 14 + 40 + 1024) + header + bytes(1024) + b"\x01\x00" * 100
    )
    with pytest.raises(ImageTooLarge, match="3,000 x 3,000"):
        shrunk(content)


# ------------------------------------------------------------------ orientation and canvas

# Where each quadrant is seen after turning: EXIF 2.32, tag 0x0112. Quadrants: 0 1 above, 2 3 below.
TURNS = {
    1: (0, 1, 2, 3),
    2: (1, 0, 3, 2),
    3: (3, 2, 1, 0),
    4: (2, 3, 0, 1),
    5: (0, 2, 1, 3),
    6: (2, 0, 3, 1),
    7: (3, 1, 2, 0),
    8: (1, 3, 0, 2),
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_the_stored_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    content = encode(picture(), file_format, exif=exif(orientation).tobytes())
    assert_shows(content, [QUADRANTS[index] for index in TURNS[orientation]])


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def test_an_orientation_in_xmp_alone_is_ignored_as_browsers_ignore_it() -> None:
    assert_shows(jpeg_with(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + XMP)))
    assert_shows(png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + XMP)))


@pytest.mark.parametrize("value", [0, 9, 42])
def test_an_orientation_that_exif_does_not_define_is_ignored(value: int) -> None:
    assert_shows(encode(picture(), "JPEG", exif=exif(value)))


def test_a_gif_frame_smaller_than_its_canvas_stands_on_white() -> None:
    pixels = shrunk(gif((80, 80), (40, 0, 40, 40)))
    assert corners(pixels)[0] == WHITE
    assert corners(pixels)[2:] == [WHITE, WHITE]
    assert np.abs(pixels[10, 50] - RED).max() <= 2
    assert np.abs(pixels[30, 70] - YELLOW).max() <= 2


def test_a_transparent_colour_of_a_gif_goes_on_white() -> None:
    assert_shows(gif((80, 80), (0, 0, 80, 80), transparent=0), [WHITE, GREEN, BLUE, YELLOW], tolerance=2)


# ------------------------------------------------------------------ any other damage

SEEDS = [make() for make, _ in READ.values()] + [
    encode(picture(24, 16), "JPEG", icc_profile=P3, exif=exif(6)),
    encode(picture(24, 16), "PNG", icc_profile=P3),
    gif((20, 20), (5, 5, 8, 8), transparent=1),
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
    with contextlib.suppress(UnsupportedImage, ImageTooLarge):  # anything else fails the test
        assert max(shrunk(bytes(photo[:cut]), max_pixels=1_000_000).shape[:2]) <= 224


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from([seed[:12] for seed in SEEDS]), st.binary(max_size=300))
def test_a_signature_before_anything_raises_nothing_but_a_refusal(signature: bytes, rest: bytes) -> None:
    with contextlib.suppress(UnsupportedImage, ImageTooLarge):
        shrunk(signature + rest, max_pixels=1_000_000)
