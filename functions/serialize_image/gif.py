"""A GIF without what stands before its picture: https://www.w3.org/Graphics/GIF/spec-gif89a.txt.

Pillow joins the blocks of comments one by one, which takes minutes for megabytes of them.
"""

from __future__ import annotations

from typing import Final

from errors import UnsupportedImage

MAX_BLOCKS: Final = 1_000_000  # before the picture; a file of 25 MB whose blocks are full has a tenth
_SCREEN: Final = 13  # signature and logical screen descriptor
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9


def without_comments(content: bytes) -> bytes:
    """Return a GIF of the same first picture, without the extensions before it but the one that controls it.

    Args:
        content: the file, which begins with a signature.

    Raises:
        UnsupportedImage: there is no picture in it.
    """
    flags = content[10] if len(content) >= _SCREEN else 0
    start = position = _SCREEN + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    control = b""
    blocks = 0
    while content[position : position + 1] == bytes([_EXTENSION]):
        end, count = _extension_end(content, position, MAX_BLOCKS - blocks)
        if content[position + 1 : position + 2] == bytes([_CONTROL]):
            control = content[position:end]
        position, blocks = end, blocks + count
    if content[position : position + 1] != bytes([_IMAGE]):
        raise UnsupportedImage("the GIF image is damaged or cut off: there is no picture in it")
    return content[:start] + control + content[position:]


def _extension_end(content: bytes, start: int, most: int) -> tuple[int, int]:
    """Return where the extension at `start` ends, and how many blocks it has."""
    position, count = start + 2, 1
    while position < len(content) and content[position]:
        position += 1 + content[position]
        count += 1
        if count > most:
            raise UnsupportedImage(f"the GIF image has more than {MAX_BLOCKS:,} blocks before its picture")
    return position + 1, count
