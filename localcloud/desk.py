"""The review desk of a local cloud: a process of the supervisor's, which ends with it."""

import sys
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from localcloud.files import replace_text
from localcloud.service import end_with_parent, free_port
from operations.review import LOOPBACK, desk_address, desk_token

_PORT: Final = 4580


def kept_address(folder: Path) -> str:
    """Return the desk's address with its token: that of the last time, on another port only if it is taken.

    Bookmarks and open tabs work again after the next start.
    """
    file = folder / "desk-address"
    last = urlsplit(file.read_text(encoding="utf-8") if file.exists() else "")
    (token,) = parse_qs(last.query).get("token") or [desk_token()]
    address = desk_address(free_port(LOOPBACK, last.port or _PORT, _PORT), token)
    replace_text(file, address)
    return address


def main() -> None:
    """Serve the desk and the live view on the port that the first argument names, until the parent ends."""
    end_with_parent()
    from operations.__main__ import main as operations  # noqa: PLC0415 - slow, and the parent is watched first

    sys.exit(operations(["review", "--port", sys.argv[1]]))


if __name__ == "__main__":
    main()
