"""JPEG compression of arrays, to give all images the same compression history.

Compression leaves traces that a classifier learns more easily than the shape of a wheel. Where the images of
one source were compressed and those of another were not, a network can learn "JPEG or not" instead of what
an image shows. Training and evaluation therefore compress both alike.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def jpeg_round_trip(images: Pixels, quality: int | npt.NDArray[np.int64]) -> Pixels:
    """Return the images as JPEG compression leaves them.

    Args:
        images: uint8 [N, H, W, 3], RGB.
        quality: of the compression, 1 to 95; one for all or int [N].

    Returns:
        uint8 [N, H, W, 3].
    """
    compressed = np.empty_like(images)
    for index, level in enumerate(np.broadcast_to(quality, len(images)).tolist()):
        buffer = io.BytesIO()
        Image.fromarray(images[index]).save(buffer, "JPEG", quality=level)
        compressed[index] = np.asarray(Image.open(buffer))
    return compressed
