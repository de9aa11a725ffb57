"""The sample photos of the demo and of `events/`: drawn from fixed seeds, so the same files every time."""

import struct
import zlib
from pathlib import Path
from typing import Final

from PIL import Image

from model_build.data.drawings import FIRST_TEST_SEED, draw

SAMPLES: Final = (
    "bicycle.jpg",
    "bicycle_phone_photo.jpg",
    "motorcycle.jpg",
    "motorcycle.png",
    "cat.jpg",
    "house.png",
    "not_an_image.png",
    "truncated.jpg",
    "empty.jpg",
    "huge_dimensions.png",
    "too_large.jpg",
)
"""The files of `write_samples`: four vehicles, two that are neither, five that are not usable photos."""

TOO_MANY_BYTES: Final = 25 * 1024 * 1024 + 1
"""One byte more than MaxObjectBytes of template.yaml allows."""

ORIENTATION_TAG: Final = 0x0112  # of EXIF
ROTATE_90_CLOCKWISE: Final = 6


def write_samples(folder: Path) -> list[Path]:
    """Write the sample photos of the demo and of `events/`, named as in `SAMPLES`."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = FIRST_TEST_SEED  # and with what is added to it, so that the shipped model accepts the vehicles
    draw("bicycle", seed, (640, 480)).save(folder / "bicycle.jpg", quality=90)
    _save_phone_photo(folder / "bicycle_phone_photo.jpg", seed + 1)
    draw("motorcycle", seed + 25, (800, 600)).save(folder / "motorcycle.jpg", quality=90)
    draw("motorcycle", seed + 358, (320, 240)).save(folder / "motorcycle.png")
    draw("cat", seed, (640, 640)).save(folder / "cat.jpg", quality=90)
    draw("house", seed, (400, 300)).save(folder / "house.png")
    (folder / "not_an_image.png").write_text("This is a text that somebody named .png.\n", encoding="utf-8")
    whole = (folder / "bicycle.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "huge_dimensions.png").write_bytes(png_claiming(50_000, 50_000))
    with (folder / "too_large.jpg").open("wb") as file:
        file.write(whole)
        file.truncate(TOO_MANY_BYTES)  # the rest reads as zeros and takes no space on disk
    return [folder / name for name in SAMPLES]


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG of 70 bytes whose header claims `width` by `height` pixels: a decompression bomb."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def _save_phone_photo(path: Path, seed: int) -> None:
    """Write 12 megapixels as a phone does: rotated, with the EXIF orientation that tells the viewer so."""
    upright = draw("bicycle", seed, (3000, 4000))
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATE_90_CLOCKWISE
    upright.transpose(Image.Transpose.ROTATE_90).save(path, quality=88, exif=exif)
