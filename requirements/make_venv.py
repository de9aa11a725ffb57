"""Make a virtual environment from a lock and show how far it is: `make_venv.py FOLDER LOCK [FURTHER_LOCK]`.

The Makefile runs it with the Python that the environment is to have. It needs nothing but the standard
library, and its syntax is that of Python 3.7, so that a Python that is too old can still say so.

The first lock is complete and has hashes: pip need not resolve anything and checks every file. A further lock
is installed without hashes, from the index in the variable TORCH_INDEX if that is set: which build of PyTorch
fits is the machine's matter. `FOLDER/.made` holds a digest of the locks; if they still have it, nothing is
done.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
REQUIREMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\s*==", re.MULTILINE)
STARTED = re.compile(r"\s*(?:Collecting|Ignoring) ([^\s=:]+)")
TAIL_LINES = 25
MEGABYTE = 1024 * 1024


def main(folder: Path, locks: list[Path]) -> None:
    """Make the environment unless it is there; exit with a message if that fails.

    Args:
        folder: where it goes; what is there is replaced.
        locks: requirements files, the one with hashes first.
    """
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python 3.11 or newer is needed, this is {version}: make PYTHON=/path/to/python3.11 ...")
    python, marker = folder / "bin" / "python", folder / ".made"
    wanted = digest(locks)
    if python.exists() and marker.exists() and marker.read_text() == wanted:
        marker.touch()
        return
    start = time.monotonic()
    say(f"making {folder} from {' and '.join(map(str, locks))} (once)")
    shutil.rmtree(folder, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode:
        sys.exit(f"{sys.executable} cannot make environments (Debian, Ubuntu: apt install python3-venv)")
    index = os.environ.get("TORCH_INDEX")
    install(python, ["--no-deps", "--require-hashes"], locks[0])
    for lock in locks[1:]:
        install(python, ["--index-url", index] if index else [], lock)
    marker.write_text(wanted)
    say(f"{folder} is made: {size(folder) // MEGABYTE} MB, {time.monotonic() - start:.0f} s")


def install(python: Path, options: list[str], lock: Path) -> None:
    """Run pip, with a line that moves on a terminal; exit with the end of pip's output if it fails.

    Args:
        python: the environment's Python.
        options: of `pip install`.
        lock: the requirements file.
    """
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    total = len(REQUIREMENT.findall(lock.read_text()))
    lines, started = [], 0
    process = subprocess.Popen(
        [*pip, *options, "-r", str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout or ():
        lines.append(line)
        found = STARTED.match(line)
        if found:
            started += 1
            show(f"{started:>4} of {max(total, started)} packages: {found.group(1)}")
        elif line.startswith("Installing"):
            show(f"installing {started} packages")
    show("")
    if process.wait():
        sys.stderr.write("".join(lines[-TAIL_LINES:]))
        sys.exit(f"{lock} cannot be installed, see above: is there a network, and room on the disk?")


def show(text: str) -> None:
    """Redraw the last line of a terminal; elsewhere print nothing."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{text[:width]:<{width}}\r")
        sys.stderr.flush()


def say(text: str) -> None:
    """Print to standard error: standard output is for results."""
    sys.stderr.write(text + "\n")


def digest(locks: list[Path]) -> str:
    """Return a digest of the locks' content."""
    return hashlib.sha256(b"\0".join(lock.read_bytes() for lock in locks)).hexdigest() + "\n"


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*"))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: the environment is made again the next time")
