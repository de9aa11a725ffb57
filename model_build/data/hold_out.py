"""Which labelled photos are kept out of training, so that models can be compared on them later.

A photo's content decides, not its name or order: a photo that was held out once is held out of every later
training, however many photos are added to its folder.
"""

import hashlib
from typing import Final

DIGEST_DIGITS: Final = 16
_RANGE: Final = float(16**DIGEST_DIGITS)


def photo_digest(body: bytes) -> str:
    """Return a short digest of an image file: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(body).hexdigest()[:DIGEST_DIGITS]


def is_held_out(digest: str, share: float) -> bool:
    """Return whether a photo is held out.

    Args:
        share: of all photos to hold out, 0 to 1.
    """
    return int(digest, 16) < share * _RANGE
