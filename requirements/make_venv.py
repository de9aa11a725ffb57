"""Make a virtual environment from a lock: `make_venv.py FOLDER LOCK [FURTHER_LOCK]`.

The Makefile runs it with the Python that the environment is to have. It needs nothing but the standard
library, and its syntax is that of Python 3.7, so that a Python that is too old can still say so.

uv installs the first lock, which is complete and has hashes; where uv cannot be had or cannot install, pip
does. uv lies beside the environments (`FOLDER/../uv`), from requirements/uv.txt. The user's configuration of
pip (index, proxy, certificates) holds for both. A further lock is installed by pip, without hashes, from the
index in the variable TORCH_INDEX if that is set: which build of PyTorch fits is the machine's matter.
`FOLDER/.made` holds a digest of the locks and of this file; if they still have it, nothing is done.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parents[1]
UV_LOCK = Path(__file__).resolve().with_name("uv.txt")
# What pip calls it, and uv; a value of pip's may be a list.
OPTIONS = {
    "index-url": "--default-index",
    "extra-index-url": "--index",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
VARIABLES = {"cert": "SSL_CERT_FILE", "proxy": "ALL_PROXY", "default-timeout": "UV_HTTP_TIMEOUT"}


def main(folder: Path, locks: list[Path]) -> None:
    """Make the environment unless it is there; exit with a message if that fails."""
    if sys.version_info < OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python 3.11 or newer is needed, this is {version}: make PYTHON=/path/to/python3.11 ...")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as held:  # `make -j` makes several at once
        fcntl.flock(held, fcntl.LOCK_EX)
        marker, python = folder / ".made", folder / "bin" / "python"
        if python.exists() and marker.exists() and marker.read_text() == digest(locks):
            marker.touch()  # for make
        else:
            make(folder, locks)


def make(folder: Path, locks: list[Path]) -> None:
    """Make the environment anew; exit with a message if that fails."""
    start = time.monotonic()
    say(f"making {folder} from {' and '.join(map(str, locks))} (once)")
    python = folder / "bin" / "python"
    if not install_with_uv(folder, locks[0]):
        make_venv(folder)
        install([str(python), "-m", "pip"], ["--no-deps", "--require-hashes"], locks[0])
    index = os.environ.get("TORCH_INDEX")
    for lock in locks[1:]:
        install([str(python), "-m", "pip"], ["--index-url", index] if index else [], lock)
    write_program(folder)
    (folder / ".made").write_text(digest(locks))
    size = sum(path.lstat().st_size for path in folder.rglob("*"))
    say(f"{folder} is made: {size // 1024**2} MB, {time.monotonic() - start:.0f} s")


def make_venv(folder: Path) -> None:
    """Make an environment with pip in it; exit with a message if that fails."""
    shutil.rmtree(folder, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False).returncode:
        sys.exit(f"{sys.executable} cannot make environments (Debian, Ubuntu: apt install python3-venv)")


def install_uv(folder: Path) -> list[str]:
    """Install uv unless it is there, with this Python's pip, or one of its own; return that pip."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], check=False, capture_output=True).returncode:
        own = folder.with_name("pip")
        pip[0] = str(own / "bin" / "python")
        if not Path(pip[0]).exists():
            make_venv(own)
    marker = folder / ".made"
    if not (marker.exists() and marker.read_text() == digest([UV_LOCK])):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        wheel = ["--require-hashes", "--only-binary=:all:", "--root-user-action=ignore"]
        install(pip, [*wheel, "--target", str(folder)], UV_LOCK)
        marker.write_text(digest([UV_LOCK]))
    return pip


def install_with_uv(folder: Path, lock: Path) -> bool:
    """Make an environment from a lock with uv; return whether that was possible."""
    tools = folder.with_name("uv")
    try:
        pip = install_uv(tools)
    except SystemExit as error:
        say(f"{error}\nuv is not there: pip installs instead, which takes longer")
        return False
    options, variables = pip_configuration(pip)
    if not sys.stderr.isatty():
        options.append("--quiet")
    target = ["--python", str(folder / "bin" / "python")]
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(folder)],
        ["pip", "sync", *target, "--require-hashes", *options, str(lock)],
    ):
        uv = [str(tools / "bin" / "uv"), *command]
        if subprocess.run(uv, env={**variables, **os.environ}, check=False).returncode:
            say("uv cannot install here, see above: pip installs instead, which takes longer")
            return False
    return True


def pip_configuration(pip: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the user's configuration of pip as uv's options and environment variables.

    pip itself reads its files and variables; the latter count more, and `[install]` more than `[global]`.
    """
    listed = subprocess.run([*pip, "config", "list"], check=False, capture_output=True, text=True).stdout
    values = {}
    for section in ("global.", "install.", ":env:."):
        for line in listed.splitlines():
            name, found, value = line.partition("=")
            if found and name.startswith(section):
                values[name[len(section) :]] = str(ast.literal_eval(value))
    # As pip does, take the wheel that the lock names from whichever index has it: its hash is checked.
    options = ["--index-strategy", "unsafe-best-match"]
    if values.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        options.append("--no-index")
    for name, option in OPTIONS.items():
        options += [part for value in values.get(name, "").split() for part in (option, value)]
    return options, {variable: values[name] for name, variable in VARIABLES.items() if name in values}


def install(pip: list[str], options: list[str], lock: Path) -> None:
    """Run pip, which shows its progress on a terminal; exit with a message if it fails."""
    command = [*pip, "install", "--disable-pip-version-check", *options, "-r", str(lock)]
    if not sys.stderr.isatty():
        command.append("--quiet")
    if subprocess.run(command, check=False, stdout=2).returncode:  # standard output is for results
        sys.exit(f"{lock} cannot be installed, see above: is there a network, and room on the disk?")


def write_program(folder: Path) -> None:
    """Write the program `scones`, which runs this checkout from any folder."""
    program = folder / "bin" / "scones"
    program.write_text(
        "#!/bin/sh\n"
        # For the shell a command, for Python a string: the path may be longer than a #! line, or have spaces.
        f"'''exec' {shlex.quote(str((folder / 'bin' / 'python').absolute()))} -P \"$0\" \"$@\"\n"
        "' '''\n"
        "import os, sys\n\n"
        "root = os.path.abspath(__file__ + '/../../../..')  # of a checkout whose .venv is a link, too\n"
        f"known = os.path.exists(root + '/commandline/scones.py')\n"
        f"sys.path.insert(0, root if known else {str(ROOT)!r})\n"
        "from commandline.scones import main\n\n"
        "sys.exit(main())\n"
    )
    program.chmod(0o755)


def say(text: str) -> None:
    """Print to standard error: standard output is for results."""
    sys.stderr.write(text + "\n")


def digest(locks: list[Path]) -> str:
    """Return a digest of the locks and of how they are installed."""
    files = [Path(__file__), *locks]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest() + "\n"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
    except KeyboardInterrupt:
        sys.exit("\ninterrupted: the environment is made again the next time")
