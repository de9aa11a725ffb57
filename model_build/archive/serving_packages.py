"""Python packages for another machine: those of a lock, for a container's Python and processor.

A container that installs packages when it starts needs a writable file system and the network, and starts
differently on the day when either is missing. So the packages go into the archive, or into the image.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_build.errors import ModelBuildError

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ROOT / "requirements"
SERVING_LOCK: Final = LOCKS / "serving.txt"
IMAGE_LOCK: Final = LOCKS / "serving-image.txt"
CACHE: Final = ROOT / "build" / "serving-packages"
ARCHITECTURES: Final = {"x86_64": "x86_64", "arm64": "aarch64"}  # and what wheels and `uname -m` call them
# Every glibc from 2.17 to 2.28, which Amazon Linux 2023 and Debian 12 have.
_GLIBC: Final = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
# pip's notes about the installation differ from one time to the next; tests are never run in a container.
_NOT_KEPT: Final = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


@dataclass(frozen=True)
class Target:
    """What packages must run on."""

    python: str  # version of CPython, such as `3.13`
    architecture: str = "x86_64"  # one of ARCHITECTURES

    @property
    def folder(self) -> str:
        """Name of the folder that the packages are put into; `bundled_packages.py` looks for it."""
        return f"cp{self.python.replace('.', '')}-{ARCHITECTURES[self.architecture]}"


def packages_for(target: Target, lock: Path = SERVING_LOCK, cache: Path = CACHE) -> Path:
    """Return a folder with the packages of a lock with hashes, of the cache or downloaded into it."""
    digest = hashlib.sha256(f"{target} {lock.read_text(encoding='utf-8')}".encode()).hexdigest()
    folder = cache / f"{lock.stem}-{target.folder}-{digest[:12]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / "packages"
            _install(target, lock, made)
            for path in sorted(made.rglob("*"), reverse=True):
                if path.is_dir() and (path.name in {"tests", "__pycache__"} or path == made / "bin"):
                    shutil.rmtree(path)
                elif path.name in _NOT_KEPT and path.parent.name.endswith(".dist-info"):
                    path.unlink()
            # Another process may have been faster; the content is the same.
            if not folder.is_dir():
                made.rename(folder)
    return folder


def _install(target: Target, lock: Path, folder: Path) -> None:
    machine = ARCHITECTURES[target.architecture]
    platforms = [part for glibc in _GLIBC for part in ("--platform", f"{glibc}_{machine}")]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile", "--requirement", str(lock)),
        *("--implementation", "cp", "--python-version", target.python, *platforms),
        *("--target", str(folder)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        raise ModelBuildError(
            f"the packages for Python {target.python} on {target.architecture} can't be downloaded "
            f"({reasons[0].removeprefix('ERROR: ')}). A connection to a package index is needed once; an "
            "archive for --image own needs no packages"
        )
