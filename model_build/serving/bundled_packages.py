"""Import the packages that were put into the archive, for images that lack them."""

import importlib.util
import platform
import sys
from pathlib import Path

FOLDER = "packages"
NEEDED = "onnxruntime"  # what AWS's images lack


def use_bundled_packages(code: Path) -> None:
    """Put the archive's packages for this Python first on the import path; without any, change nothing.

    Raises:
        ImportError: the packages are for another Python or processor, and this one lacks them.
    """
    bundled = code / FOLDER
    name = f"cp{sys.version_info.major}{sys.version_info.minor}-{platform.machine()}"
    if (bundled / name).is_dir():
        sys.path.insert(0, str(bundled / name))
    elif bundled.is_dir() and importlib.util.find_spec(NEEDED) is None:
        found = ", ".join(sorted(path.name for path in bundled.iterdir()))
        raise ImportError(
            f"the archive has packages for {found}, this container needs {name}: deploy it again"
        )
