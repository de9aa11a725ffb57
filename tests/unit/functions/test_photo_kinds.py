"""SerializeImage on files of every kind: what is shown, what is refused, and what the refusal says."""

import struct
import sys
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.photo_files import (
    ADOBE_RGB,
    BLUE,
    BYTE,
    DISPLAY_P3,
    GREEN,
    LONG,
    QUADRANTS,
    RED,
    SHORT,
    WHITE,
    YELLOW,
    chunk,
    encode,
    exif,
    gif,
    grey_profile,
    jpeg_with,
    picture,
    png_with,
    rgb_profile,
    rgb_tiff,
    segment,
    through_profile,
)
from tests.unit.functions.shown import UnsupportedImage, assert_shows, corners, shrunk

Colour = tuple[int, ...]


def alpha_picture() -> Image.Image:
    """Return the picture with its top left quadrant transparent."""
    image = picture().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 120, 80))
    return image


# ------------------------------------------------------------------ formats

BLACK = Image.new("RGB", (64, 64))
GREYS = [(round(0.299 * red + 0.587 * green + 0.114 * blue),) * 3 for red, green, blue in QUADRANTS]
ON_WHITE = [WHITE, GREEN, BLUE, YELLOW]


def pages(size: tuple[int, int]) -> dict[str, Any]:
    return {"save_all": True, "append_images": [Image.new("RGB", size)]}


OPTIONS: dict[str, dict[str, Any]] = {  # by the format and what is special
    **{name: {} for name in ("jpeg", "png", "webp", "avif", "heif", "bmp", "tiff")},
    "jpeg 4:4:4": {"subsampling": 0},
    "jpeg progressive": {"progressive": True},
    "jpeg with restart markers": {"restart_marker_rows": 1},
    "png animated": pages((240, 160)),
    **{f"{kind} pages": pages((9, 9)) for kind in ("mpo", "tiff")},
    **{f"tiff {kind}": {"compression": kind} for kind in ("tiff_lzw", "tiff_adobe_deflate", "jpeg")},
}
MODES: dict[str, tuple[Image.Image, str, Any]] = {  # the formats that are tried of each kind of picture
    "without noise": (picture(texture=0), "gif", QUADRANTS),
    "cmyk": (picture().convert("CMYK"), "jpeg tiff", QUADRANTS),
    "palette": (picture(texture=0).convert("P", palette=Image.Palette.ADAPTIVE), "png bmp", QUADRANTS),
    "grey": (picture().convert("L"), "jpeg png bmp", GREYS),
    "with alpha": (alpha_picture(), "png avif heif tiff webp", ON_WHITE),
}
READ: dict[str, tuple[Callable[[], bytes], Any]] = {
    name: (partial(encode, picture(), name.split()[0], **options), QUADRANTS)
    for name, options in OPTIONS.items()
} | {
    f"{kind} {mode}": (partial(encode, image, kind), expected)
    for mode, (image, kinds, expected) in MODES.items()
    for kind in kinds.split()
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
    "canon raw": (b"II\x2a\x00\x10\x00\x00\x00CR\x02\x00" + bytes(60), "a raw photo"),
    "canon raw 3": (b"\x00\x00\x00\x18ftypcrx \x00\x00\x00\x01crx isom" + bytes(60), "a raw photo"),
    "fujifilm raw": (b"FUJIFILMCCD-RAW 0201" + bytes(60), "a raw photo"),
    "pdf": (encode(picture(), "PDF"), "a PDF document"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page"),
    "live photo's edits": (b'<?xml version="1.0"?><!DOCTYPE plist><plist version="1.0"/>', "a property list"),
    "live photo's film": (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  " + bytes(60), "a film"),
    "old film": (b"\x00\x00\x10\x00moov" + bytes(60), "a film"),
    "film": (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(60), "a film"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(60), "a film"),
    "avi": (b"RIFF\x00\x01\x00\x00AVI LIST" + bytes(60), "a film"),
    ".DS_Store": (b"\x00\x00\x00\x01Bud1" + bytes(60), "a folder's settings"),
    "._photo.jpg": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(60), "a file's metadata from macOS"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), "an OLE document"),
    "olympus raw": (b"IIRO\x08\x00\x00\x00" + bytes(60), "a raw photo"),
    "minolta raw": (b"\x00MRM" + bytes(60), "a raw photo"),
    "web form": (
        b'------WebKitFormBoundary0\r\nContent-Disposition: form-data; name="file"\r\n\r\n\xff\xd8\xff',
        "a web form with its boundaries",
    ),
    "web form, type first": (
        b"--x\r\nContent-Type: image/jpeg\r\nContent-Disposition: form-data\r\n\r\n\xff\xd8\xff",
        "a web form with its boundaries",
    ),
    "signed chunks": (b"10000;chunk-signature=ad80c730a21e\r\n\xff\xd8\xff", "its chunk signatures"),
    "data URI": (b"data:image/jpeg;base64,/9j/4AAQSkZJRg==", "an image in base64"),
    "base64 in JSON": (b'"iVBORw0KGgoAAAANSUhEUgAA"', "an image in base64"),
    "decoded as text": ("\ufffd\ufffd\ufffd\ufffd\x00\x10JFIF".encode(), "converted as if it were text"),
    "HTTP message": (b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff", "an HTTP message"),
    "JSON": (b'{"title": "IMG_1.jpg"}', "a text"),
    "UTF-16": ("a text".encode("utf-16"), "a text in UTF-16"),
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


# ------------------------------------------------------------------ TIFF's variants, among them raw photos


def grey_tiff(samples: npt.NDArray[Any], *, white: int, sample_format: int = 1) -> bytes:
    """Return an uncompressed grey TIFF of these samples."""
    height, width = samples.shape
    more = {258: (SHORT, [8 * samples.itemsize]), 262: (SHORT, [white]), 277: (SHORT, [1])}
    more |= {279: (LONG, [samples.nbytes]), 339: (SHORT, [sample_format])}
    return rgb_tiff(Image.new("L", (width, height)), more, data=samples.tobytes())


RAMP = np.tile(np.linspace(0, 1, 64), (64, 1))
MAKE = {271: (BYTE, b"NIKON\x00")}
REFUSED_TIFF = {
    "DNG, a black placeholder": (rgb_tiff(BLACK, {50706: (BYTE, [1, 4, 0, 0])}), "a raw photo"),
    "DNG": (grey_tiff((RAMP * 9).astype("<u2"), white=32803), "a raw photo"),
    "linear DNG": (rgb_tiff(BLACK, {262: (SHORT, [34892])}), "a raw photo"),
    "NEF, ARW: a preview": (rgb_tiff(BLACK, {254: (LONG, [1]), 330: (LONG, [8])}), "a raw photo"),
    "SRW, 3FR: the sensor's image beside": (rgb_tiff(BLACK, {**MAKE, 330: (LONG, [8])}), "a raw photo"),
    "floating point": (grey_tiff(RAMP.astype("<f4"), white=1, sample_format=3), "floating point"),
    "32 bits": (grey_tiff((RAMP * (2**32 - 1)).astype("<u4"), white=1), "samples of 32 bits"),
    "signed": (grey_tiff((RAMP * 32767).astype("<i2"), white=1, sample_format=2), "samples with a sign"),
    "JPEG 2000": (rgb_tiff(BLACK, {259: (SHORT, [34712])}), "JPEG 2000"),
    "YCbCr without subsampling": (rgb_tiff(BLACK, {262: (SHORT, [6])}), "unknown subsampling"),
    "Lab in planes": (rgb_tiff(BLACK, {262: (SHORT, [8]), 284: (SHORT, [2])}), "Lab colours in planes"),
    "big-endian BigTIFF": (rgb_tiff(BLACK, order=">", big=True), "variant that is not read here"),
}


@pytest.mark.parametrize("name", REFUSED_TIFF)
def test_a_tiff_that_would_be_shown_wrongly_is_refused_by_name(name: str) -> None:
    content, why = REFUSED_TIFF[name]
    with pytest.raises(UnsupportedImage, match=f"{why}.*JPEG"):
        shrunk(content)


def in_planes(image: Image.Image, depth: int) -> bytes:
    """Return a TIFF whose red, green and blue lie one after the other."""
    samples = np.asarray(image).astype(np.uint32) * ((1 << depth) - 1) // 255
    planes = samples.transpose(2, 0, 1).astype(f"<u{depth // 8}")
    size = planes[0].nbytes
    places = (LONG, [8 + size * number for number in range(3)])
    more = {258: (SHORT, [depth] * 3), 273: places, 279: (LONG, [size] * 3), 284: (SHORT, [2])}
    return rgb_tiff(image, more, data=planes.tobytes())


def ycbcr(subsampled: int) -> bytes:
    """Return an uncompressed TIFF of YCbCr, as old cameras wrote: so many pixels a side share a colour."""
    image = picture().convert("YCbCr")
    luma, *chroma = (np.asarray(plane) for plane in image.split())
    height, width, side = image.height, image.width, subsampled
    groups = luma.reshape(height // side, side, width // side, side).transpose(0, 2, 1, 3)
    units = [groups.reshape(height // side, width // side, -1), *(c[::side, ::side, None] for c in chroma)]
    data = np.concatenate(units, axis=2).tobytes()
    more = {262: (SHORT, [6]), 279: (LONG, [len(data)]), 530: (SHORT, [side, side])}
    return rgb_tiff(picture(), more, data=data)


SHOWN_TIFF = {
    "BigTIFF": (rgb_tiff(picture(), {274: (SHORT, [6])}, big=True), (2, 0, 3, 1)),
    "big-endian": (rgb_tiff(picture(), {274: (SHORT, [6])}, order=">"), (2, 0, 3, 1)),
    "compressed BigTIFF": (encode(picture(), "TIFF", compression="jpeg", big_tiff=True), (0, 1, 2, 3)),
    "one strip without limit": (rgb_tiff(picture(), {278: (LONG, [2**32 - 1])}), (0, 1, 2, 3)),
    "8 bits in planes": (in_planes(picture(), 8), (0, 1, 2, 3)),
    "16 bits in planes": (in_planes(picture(), 16), (0, 1, 2, 3)),
    "YCbCr": (ycbcr(1), (0, 1, 2, 3)),
    "YCbCr, subsampled": (ycbcr(2), (0, 1, 2, 3)),
}


@pytest.mark.parametrize("name", SHOWN_TIFF)
def test_a_variant_of_tiff_is_shown(name: str) -> None:
    content, order = SHOWN_TIFF[name]
    assert_shows(content, [QUADRANTS[index] for index in order])


@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_grey_tiff_of_any_depth_and_direction_shows_the_same(depth: int, white: int) -> None:
    levels = ((RAMP if white else 1 - RAMP) * ((1 << depth) - 1)).round()
    shown = shrunk(grey_tiff(levels.astype(f"<u{depth // 8}"), white=white))
    assert np.abs(shown - (RAMP * 255)[:, :, None]).max() <= 2


BRANDS = ("HEIF miaf", "HEIF mif1", "HEIF MiHE", "HEIF mif2", "AVIF miaf", "AVIF mif1")


@pytest.mark.parametrize(("file_format", "brand"), map(str.split, BRANDS))
def test_a_container_of_any_brand_is_what_its_picture_is(file_format: str, brand: str) -> None:
    content = encode(picture(), file_format)
    assert_shows(content[:8] + brand.encode() + content[12:])


# ------------------------------------------------------------------ colour

P3 = rgb_profile(DISPLAY_P3)


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB], ids=["P3", "Adobe RGB"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF"])
def test_a_wide_gamut_is_converted_to_srgb(file_format: str, primaries: Any) -> None:
    expected = [through_profile(colour, primaries) for colour in QUADRANTS]
    assert np.abs(np.array(expected) - np.array(QUADRANTS)).max() > 12
    photo = encode(picture(), file_format, icc_profile=rgb_profile(primaries))
    assert_shows(photo, expected, tolerance=10)


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


def keyed(depth: int, pixel: Sequence[int], key: Sequence[int]) -> bytes:
    """Return a PNG of one colour, of which another, or the same, is transparent."""
    bits = "".join(format(sample, f"0{depth}b") for sample in [*pixel] * 16)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 16, 16, depth, 0 if len(pixel) == 1 else 2, 0, 0, 0),
        b"tRNS": struct.pack(f">{len(key)}H", *key),
        b"IDAT": zlib.compress((b"\x00" + int(bits, 2).to_bytes(len(bits) // 8, "big")) * 16),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks.items())


KEYED: dict[str, tuple[bytes, Colour]] = {
    **{f"grey of {depth} bits": (keyed(depth, [0], [0]), WHITE) for depth in (1, 2, 4, 8, 16)},
    "grey of 2 bits, a middle level": (keyed(2, [2], [2]), WHITE),
    "grey of 2 bits, another level": (keyed(2, [2], [1]), (170, 170, 170)),
    "RGB of 8 bits": (keyed(8, RED, RED), WHITE),
    "RGB of 8 bits, another colour": (keyed(8, RED, GREEN), RED),
    "RGB of 16 bits": (keyed(16, [v * 257 for v in RED], [v * 257 for v in RED]), WHITE),
}


@pytest.mark.parametrize("name", KEYED)
def test_a_transparent_colour_goes_on_white(name: str) -> None:
    content, expected = KEYED[name]
    assert np.abs(shrunk(content).mean((0, 1)) - expected).max() <= 2


# ------------------------------------------------------------------ orientation and canvas

# Where each quadrant is seen after turning: EXIF 2.32, tag 0x0112. Quadrants: 0 1 above, 2 3 below.
TURNS = dict(enumerate(("0123", "1032", "3210", "2301", "0213", "2031", "3120", "1302"), start=1))


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_the_stored_orientation_is_applied_once(file_format: str, orientation: int) -> None:
    content = encode(picture(), file_format, exif=exif(orientation).tobytes())
    assert_shows(content, [QUADRANTS[int(index)] for index in TURNS[orientation]])


def heic_with_copy(side: int, orientation: int = 1) -> bytes:
    """Return a HEIC of 480 x 320 pixels, damaged, with a whole copy of itself at another size."""
    image = picture(480, 320)
    whole = encode(image, "HEIF", exif=exif(orientation).tobytes())
    data = whole[whole.index(b"mdat") + 2000 :]  # of the picture: EXIF stands before
    image.info["thumbnails"] = [side]
    content = encode(image, "HEIF", exif=exif(orientation).tobytes())
    assert data in content
    return content.replace(data, bytes(len(data)))


@pytest.mark.parametrize("orientation", TURNS)
def test_a_heics_own_copy_is_enough_where_it_is_large_enough(orientation: int) -> None:
    assert_shows(heic_with_copy(240, orientation), [QUADRANTS[int(index)] for index in TURNS[orientation]])


def test_a_heics_own_copy_is_not_used_where_it_is_too_small() -> None:
    with pytest.raises(AssertionError):
        assert_shows(heic_with_copy(160))


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
    assert_shows(gif((80, 80), (0, 0, 80, 80), transparency=0), ON_WHITE, tolerance=2)
