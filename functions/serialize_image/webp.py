"""Whether a WebP is cut off and filled with zeros: https://developers.google.com/speed/webp/docs/riff_container."""

from __future__ import annotations

from typing import Final

ZERO_PADDING: Final = 8  # so many zero bytes may be padding
_PICTURES: Final = frozenset({b"VP8 ", b"VP8L"})
_FRAME: Final = 16  # ANMF: place, size and duration before the chunks of a frame
_MAX_CHUNKS: Final = 1000  # before the first picture


def shortened(content: bytes) -> bytes:
    """Return a WebP that ends with its first picture, without the last zeros of it; empty if there are none.

    The code of a flat part of a picture is zeros too. What tells them from what an interrupted transfer left
    is that the decoder needs them: it takes this for cut off. If it does not, they are no data.
    """
    found = _first_picture(content)
    if not found:
        return b""
    starts, end = found
    if end > len(content) or content[starts[-1] + 8 : end][-ZERO_PADDING:] != bytes(ZERO_PADDING):
        return b""
    short = bytearray(content[: end - ZERO_PADDING])
    for start in starts:  # the container, a frame of an animation, the picture: each ends here
        short[start + 4 : start + 8] = (len(short) - start - 8).to_bytes(4, "little")
    return bytes(short) + bytes(len(short) % 2)


def _first_picture(content: bytes) -> tuple[list[int], int] | None:
    """Return where the picture's chunk, and the chunks around it, begin, outer first, and where it ends."""
    starts, position = [0], 12
    for _ in range(_MAX_CHUNKS):
        kind = content[position : position + 4]
        end = position + 8 + int.from_bytes(content[position + 4 : position + 8], "little")
        if kind in _PICTURES:
            return [*starts, position], end
        if kind == b"ANMF":
            starts.append(position)
            position += 8 + _FRAME
        else:
            position = end + end % 2
    return None
