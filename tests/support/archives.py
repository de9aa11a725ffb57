"""What model archives contain."""

import tarfile
from pathlib import Path


def contents(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive by name."""
    with tarfile.open(archive) as tar:
        return {one.name.removeprefix("./"): file.read() for one in tar if (file := tar.extractfile(one))}


def without_packages(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive by name, but for the packages that a serving image lacks."""
    return {
        name: content for name, content in contents(archive).items() if not name.startswith("code/packages/")
    }
