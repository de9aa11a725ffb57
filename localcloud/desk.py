"""The review desk of a local cloud: a process of the supervisor's, which ends with it."""

import sys

from localcloud.service import end_with_parent


def main() -> None:
    """Serve the desk and the live view on the port that the first argument names, until the parent ends."""
    end_with_parent()
    from operations.__main__ import main as operations  # noqa: PLC0415 - slow, and the parent is watched first

    sys.exit(operations(["review", "--port", sys.argv[1]]))


if __name__ == "__main__":
    main()
