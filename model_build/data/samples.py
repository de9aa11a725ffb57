"""The sample photos of the demo and of `events/`: drawn from fixed seeds, so the same files every time."""

import struct
import zlib
from pathlib import Path
from typing import Final

from PIL import Image

from model_build.data.drawings import FIRST_TEST_SEED, draw

# Four vehicles, two things that are neither, five files that are not usable photos.
VEHICLES: Final = ("bicycle.jpg", "bicycle_phone_photo.jpg", "motorcycle.jpg", "motorcycle.png")
BROKEN: Final = ("not_an_image.png", "truncated.jpg", "empty.jpg", "huge_dimensions.png", "too_large.jpg")
SAMPLES: Final = (*VEHICLES, "cat.jpg", "house.png", *BROKEN)
TOO_MANY_BYTES: Final = 25 * 1024 * 1024 + 1  # one more than template.yaml allows
ORIENTATION_TAG: Final = 0x0112  # of EXIF
ROTATE_90_CLOCKWISE: Final = 6


def write_samples(folder: Path) -> list[Path]:
    """Write the sample photos of the demo and of `events/`, named as in `SAMPLES`."""
    folder.mkdir(parents=True, exist_ok=True)
    seed = FIRST_TEST_SEED  # and with what is added to it, so that the shipped model accepts the vehicles
    draw("bicycle", seed, (640, 480)).save(folder / "bicycle.jpg", quality=90)
    # 12 megapixels as a phone writes them: rotated, with the EXIF orientation that turns them back.
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = ROTATE_90_CLOCKWISE
    turned = draw("bicycle", seed + 1, (3000, 4000)).transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "bicycle_phone_photo.jpg", quality=88, exif=exif)
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
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
