"""Texts from outside, such as keys and names of files, as they may go to a terminal."""

import re
from typing import Final

# What ends lines, moves the cursor, or turns the direction of writing: Unicode's Cc, Zl, Zp and Bidi_Control.
# And surrogates, which a file's name has for bytes that are no UTF-8: no file can be written with them.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str, *, kept: str = "") -> str:
    r"""Return a text that came from outside with its control characters as escapes, such as `\x1b`.

    A terminal would obey them: a name could colour, hide or forge what is shown.
    """
    return _CONTROL.sub(
        lambda found: found[0] if found[0] in kept else found[0].encode("unicode_escape").decode(), text
    )
