"""Arrays and files of images: JPEG compression, and which photos are kept out of training.

Compression leaves traces that a classifier learns more easily than the shape of a wheel: training and
evaluation therefore compress images of all sources alike.

A photo's content decides whether it is held out, not its name or order: it is then held out of every later
training, however many photos are added to its folder, so that models can be compared on it.
"""

import hashlib
import io
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

DIGEST_DIGITS: Final = 16
Pixels = npt.NDArray[np.uint8]


def photo_digest(body: bytes) -> str:
    """Return a short digest of an image file: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(body).hexdigest()[:DIGEST_DIGITS]


def is_held_out(digest: str, share: float) -> bool:
    """Return whether a photo is one of the share, 0 to 1, of all photos that is held out."""
    return int(digest, 16) < share * float(16**DIGEST_DIGITS)


def jpeg_round_trip(images: Pixels, quality: int | npt.NDArray[np.int64]) -> Pixels:
    """Return RGB images [N, H, W, 3] as JPEG compression leaves them; quality is 1 to 95, one or int [N]."""
    compressed = np.empty_like(images)
    for index, level in enumerate(np.broadcast_to(quality, len(images)).tolist()):
        buffer = io.BytesIO()
        Image.fromarray(images[index]).save(buffer, "JPEG", quality=level)
        compressed[index] = np.asarray(Image.open(buffer))
    return compressed
