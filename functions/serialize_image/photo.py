"""Convert a photo of any kind to a small upright RGB image: pure functions over bytes."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

import containers
from display import on_white, to_8_bits, to_srgb, upright
from errors import ImageTooCostly, ImageTooLarge, UnsupportedImage
from identify import identify
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError
from PIL.ExifTags import Base as Tag

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import ImageFile

# 64 KiB are 86 KiB in base64, far below the 256 KiB that Step Functions allows in a state.
MAX_ENCODED_BYTES: Final = 64 * 1024
JPEG_QUALITIES: Final = (95, 90, 80, 65, 50, 30)
# A JPEG is decoded at a fraction of its size, so that its pixels cost a quarter of the time of others'.
JPEG_PIXELS_FACTOR: Final = 4
MAX_PROGRESSIVE_PIXELS: Final = 120_000_000  # whose coefficients, up to 6 bytes a pixel, are all in memory
MAX_SCANNED_PIXELS: Final = 20 * MAX_PROGRESSIVE_PIXELS  # of all scans, each of which visits every pixel
MAX_SIDE: Final = 1_000_000  # the bits of a row must be countable, and no camera makes such
# Pixels for each of the result's, along a side, that leave the resampling filter enough. 4,000 pixels, a side
# of most phones' photos, have as many at an eighth, for a result of 256.
_ENOUGH_PIXELS: Final = 1.95
# Major brands by which Pillow and pillow_heif recognise their files; `identify` has looked at all brands.
_BRANDS: Final = {"AVIF": b"avif avis mif1 msf1", "HEIF": b"heic heix heim heis hevc hevx hevm hevs mif1"}

# Values of a TIFF's tags.
_WHITE_IS_ZERO, _YCBCR, _LAB, _RAW, _PLANES = 0, 6, 8, {32803, 34892}, 2
_SIGNED, _FLOAT, _MAX_DEPTH, _JPEG_2000, _BIG = 2, 3, 16, {33003, 33005, 34712}, 43

Image.MAX_IMAGE_PIXELS = None  # the limit is checked here, for each format by what decoding costs
PngImagePlugin.MAX_TEXT_CHUNK = 64 << 20  # of an unpacked profile, which is ignored if it is none
# Pillow's own reader shows samples of 16 bits in separate planes as noise, and no uncompressed YCbCr.
TiffImagePlugin.READ_LIBTIFF = True


class EncodedImage(NamedTuple):
    """A re-encoded image of at most `MAX_ENCODED_BYTES` and its media type, image/png or image/jpeg."""

    data: bytes
    content_type: str
    width: int
    height: int


def shrink(photo: bytes, *, longest_side: int, max_pixels: int) -> EncodedImage:
    """Decode a photo and encode it again, bounded in size, without metadata; see `render`."""
    return _encode(render(photo, longest_side=longest_side, max_pixels=max_pixels))


def render(photo: bytes, *, longest_side: int, max_pixels: int) -> Image.Image:
    """Decode the first picture of a photo as it is seen: upright, RGB in sRGB, on white, never enlarged.

    Args:
        photo: a JPEG, PNG, GIF, WebP, AVIF, HEIC, BMP or TIFF.
        longest_side: no side of the result is longer, in pixels.
        max_pixels: images with more (width times height) are not decoded; a JPEG may have four times as many.

    Raises UnsupportedImage, ImageTooLarge and ImageTooCostly.
    """
    kind = identify(photo)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged metadata
            image = _DECODERS.get(kind, _decode)(photo, kind, longest_side, max_pixels)
            image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
            return on_white(to_srgb(upright(image)))
    except (UnsupportedImage, ImageTooLarge):
        raise
    except MemoryError as exc:
        raise ImageTooCostly(f"decoding the {kind} image takes too much memory: send a smaller one") from exc
    except Exception as exc:
        # Damaged files make Pillow raise OSError, SyntaxError, struct.error, IndexError and others.
        why = "damaged" if isinstance(exc, UnidentifiedImageError) else exc  # its own text is an address
        raise UnsupportedImage(
            f"the {kind} image cannot be decoded: it is cut off, damaged or of a variant that is not read "
            f"here ({why}). Take the photo again, or export it as JPEG"
        ) from exc


def _open(content: bytes, kind: str, max_pixels: int) -> ImageFile.ImageFile:
    """Read the header only, and refuse images with too many pixels."""
    image = Image.open(io.BytesIO(content), formats=[kind])
    _check_pixels(image, kind, max_pixels)
    return image


def _check_pixels(image: Image.Image, kind: str, limit: int) -> None:
    size = f"the image has {image.width:,} x {image.height:,} pixels"
    if max(image.size) > MAX_SIDE:
        raise ImageTooLarge(f"{size}: no side may exceed {MAX_SIDE:,}")
    if image.width * image.height > limit:
        raise ImageTooLarge(f"{size}, more than the limit of {limit:,} for {kind}")


def _decode(photo: bytes, kind: str, target_side: int, max_pixels: int) -> Image.Image:
    if kind in _BRANDS and photo[8:12] not in _BRANDS[kind].split():
        photo = photo[:8] + _BRANDS[kind][:4] + photo[12:]
    image = _open(photo, kind, max_pixels)
    if kind == "HEIF":  # a hundred times faster where the file has a copy of the picture that is large enough
        scale = target_side / max(image.size)
        image.draft("RGB", (int(image.width * scale), int(image.height * scale)))
    image.load()
    return to_8_bits(image)


def _decode_heif(photo: bytes, kind: str, target_side: int, max_pixels: int) -> Image.Image:
    """Decode a HEIC. The decoder applies the stored rotation itself, whatever EXIF says beside it."""
    try:
        import pillow_heif  # noqa: PLC0415 - 27 MB that only a HEIC needs
    except ImportError as exc:
        raise UnsupportedImage(
            "the file is a HEIC image, and this function was built for Python 3.11, for whose Lambda runtime "
            "there is no decoder: deploy it with PythonRuntime=python3.12 or newer"
        ) from exc
    pillow_heif.register_heif_opener(thumbnails=True)
    return _decode(photo, kind, target_side, max_pixels)


def _decode_jpeg(photo: bytes, kind: str, target_side: int, max_pixels: int) -> Image.Image:
    jpeg = containers.read_jpeg(photo)
    image = _open(jpeg.content, kind, JPEG_PIXELS_FACTOR * max_pixels)
    if jpeg.scans > 1 or image.info.get("progressive"):
        in_memory = MAX_PROGRESSIVE_PIXELS * 3 // max(3, len(image.getbands()))
        limit = min(in_memory, MAX_SCANNED_PIXELS // max(1, jpeg.scans))
        _check_pixels(image, "a JPEG of several scans", limit)
    # The decoder can skip detail that shrinking discards: seven times faster for 12 megapixels.
    scale = _ENOUGH_PIXELS * target_side / max(image.size)
    image.draft("RGB", (math.ceil(image.width * scale), math.ceil(image.height * scale)))
    image.load()
    # Some encoders leave out the end marker. In a picture that is cut off, what is missing is grey.
    corner = image.crop((image.width - 1, image.height - 1, *image.size)).convert("RGB")
    if not jpeg.has_end and all(abs(level - 128) <= 2 for level in corner.tobytes()):  # noqa: PLR2004
        raise UnsupportedImage("the JPEG image is cut off: take the photo again")
    return image


def _decode_png(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Image.Image:
    image: Image.Image = _open(containers.read_png(photo), kind, max_pixels)
    image.load()
    if image.mode in {"L", "I;16", "RGB"} and (key := image.info.pop("transparency", None)) is not None:
        image, most = to_8_bits(image), (1 << photo[24]) - 1  # the largest sample in the file
        scaled = tuple(value * 255 // most for value in (key if isinstance(key, tuple) else (key,)))
        image.info["transparency"] = scaled if isinstance(key, tuple) else scaled[0]
    return to_8_bits(image)


def _decode_gif(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Image.Image:
    """Decode the first frame as browsers paint it: on a canvas that shows the page where nothing is drawn."""
    image = _open(photo, kind, max_pixels)
    box = (image.tile[0].extents if image.tile else None) or (0, 0, *image.size)
    image.load()
    frame = image.convert("RGBA")
    if box == (0, 0, *image.size):
        return frame
    canvas = Image.new("RGBA", image.size, (255, 255, 255, 0))
    canvas.paste(frame.crop(box), box[:2])
    return canvas


def _decode_tiff(photo: bytes, kind: str, _target_side: int, max_pixels: int) -> Image.Image:
    """Decode a TIFF's first page. Pillow turns it upright while it loads."""
    file = io.BytesIO(photo)
    tags = TiffImagePlugin.ImageFileDirectory_v2(photo[: 16 if photo[2] == _BIG else 8])
    file.seek(tags.next)
    tags.load(file)
    if variant := _unreadable_variant(tags):
        raise UnsupportedImage(f"the TIFF image {variant}, which is not supported here: export it as JPEG")
    image = _open(photo, kind, max_pixels)
    image.load()
    if not image.mode.startswith("I"):
        return to_8_bits(image)
    grey = to_8_bits(image, white=(1 << tags[Tag.BitsPerSample][0]) - 1)
    return ImageOps.invert(grey) if tags.get(Tag.PhotometricInterpretation) == _WHITE_IS_ZERO else grey


def _unreadable_variant(tags: TiffImagePlugin.ImageFileDirectory_v2) -> str:
    """Return which variant of TIFF this is, if it is one that Pillow does not show, or shows wrongly."""
    photometric, depth = tags.get(Tag.PhotometricInterpretation), max(tags.get(Tag.BitsPerSample, (1,)))
    compression, formats = tags.get(Tag.Compression), tags.get(Tag.SampleFormat, ())
    lacks_subsampling = compression not in {6, 7} and Tag.YCbCrSubSampling not in tags  # 6 and 7 are JPEG
    # The first image of a raw photo is the sensor's, or a small one beside it.
    is_small = tags.get(Tag.NewSubfileType, 0) & 1 or (Tag.SubIFDs in tags and Tag.Make in tags)
    variants = {
        "is a raw photo (such as DNG, NEF or ARW)": Tag.DNGVersion in tags or is_small or photometric in _RAW,
        "has samples of floating point": _FLOAT in formats,
        "has samples with a sign": _SIGNED in formats,
        f"has samples of {depth} bits": depth > _MAX_DEPTH,
        "has Lab colours in planes": photometric == _LAB and tags.get(Tag.PlanarConfiguration) == _PLANES,
        "has YCbCr colours of unknown subsampling": photometric == _YCBCR and lacks_subsampling,
        "is compressed as JPEG 2000": compression in _JPEG_2000,
    }
    return next((variant for variant, found in variants.items() if found), "")


_DECODERS: Final[dict[str, Callable[[bytes, str, int, int], Image.Image]]] = {
    "JPEG": _decode_jpeg,
    "PNG": _decode_png,
    "GIF": _decode_gif,
    "HEIF": _decode_heif,
    "TIFF": _decode_tiff,
}


def _encode(image: Image.Image) -> EncodedImage:
    """Encode as PNG if that fits (drawings, thumbnails), otherwise as the best JPEG that does."""
    image.info = {}  # Pillow would copy comments and colour profiles from here into the new file
    # A PNG of the least compression takes a quarter of the time; at this size, JPEG's colour should be whole.
    options = [("PNG", {"compress_level": 1})]
    options += [("JPEG", {"quality": quality, "subsampling": 0}) for quality in JPEG_QUALITIES]
    for file_format, parameters in options:
        buffer = io.BytesIO()
        image.save(buffer, file_format, **parameters)
        if buffer.tell() <= MAX_ENCODED_BYTES:
            return EncodedImage(buffer.getvalue(), f"image/{file_format.lower()}", *image.size)
    raise ImageTooLarge(f"the image needs more than {MAX_ENCODED_BYTES:,} bytes at the lowest JPEG quality")
