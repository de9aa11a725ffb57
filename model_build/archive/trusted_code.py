"""Tell this project's serving code in a model from code of somebody else's, which is not run unasked.

A model archive may bring its own `code/`, and whoever loads the model runs it. Code is ours if its name and
SHA-256 are those of the serving code of this checkout or of an earlier version: add a version's digests to
`known_code.json` before its code changes.
"""

import json
import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from model_build.archive.package import BUNDLED, CODE, bundled_files, code_files
from model_build.archive.serving_packages import Target
from model_build.data.extract import digest, hash_files
from model_build.errors import UsageError

TRUSTED_VARIABLE: Final = "SCONES_TRUSTED_ARCHIVE"
"""Of a container's environment: the SHA-256 of an archive that was deployed with --trust-code."""
KNOWN: Final = Path(__file__).with_name("known_code.json")
# Outside of code/, files of these kinds are data; anything else counts as code.
DATA_SUFFIXES: Final = frozenset({".csv", ".json", ".jsonl", ".md", ".npz", ".onnx", ".png", ".txt"})
SHOWN: Final = 3


class ForeignCodeError(UsageError):
    """A model contains code that is not this project's, and --trust-code was not given."""


def require_own_code(model: Path, *, trusted: bool, name: str | None = None, packages: bool = False) -> None:
    """Refuse a model with code of somebody else's unless it is trusted; the message calls it `name`."""
    found = () if trusted else foreign_code(model, packages=packages)
    if found:
        shown = ", ".join(found[:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        raise ForeignCodeError(
            f"{name or model} contains code that is not this project's ({shown}): it would run with your "
            "rights. Give --trust-code if you have read it or trust its author, or take it out: a model "
            "without code/ is served by this project's own"
        )


def foreign_code(model: Path, *, packages: bool = False) -> tuple[str, ...]:
    """Return the names of a model's code files that are not this project's, sorted.

    Code of an archive is every file below `code/`, and every other file that is not of `DATA_SUFFIXES`; of a
    folder, what packaging takes from it (`code_files`).
    """
    if model.is_dir():  # what a folder lacks is this checkout's own
        files = code_files(model).items()
        digests = {name: digest(path) for name, path in files if path.is_relative_to(model)}
    else:
        digests = {name: sha256 for name, sha256 in hash_files(model).items() if _is_code(name)}
    bundled = {name for name in digests if name.startswith(f"{BUNDLED}/")}
    known = known_code()
    foreign = {name for name in digests.keys() - bundled if digests[name] not in known.get(name, ())}
    if packages and bundled:
        expected: dict[str, str] = {}  # the lock's packages, for the targets of which there are any
        for folder in {name.split("/")[2] for name in bundled}:
            if target := re.fullmatch(r"cp3([0-9]{1,2})-(x86_64|aarch64)", folder):
                architecture = "x86_64" if target[2] == "x86_64" else "arm64"
                lock = bundled_files(Target(f"3.{target[1]}", architecture))
                expected |= {name: digest(path) for name, path in lock.items()}
        foreign |= {name for name in bundled if digests[name] != expected.get(name)}
    return tuple(sorted(foreign))


def _is_code(name: str) -> bool:
    path = PurePosixPath(name)
    # Case is ignored: on macOS Code/ is code/.
    return path.parts[0].casefold() == CODE or path.suffix not in DATA_SUFFIXES


@cache
def known_code() -> dict[str, set[str]]:
    """Return the digests of this project's code by name in the archive."""
    known = {name: set(digests) for name, digests in json.loads(KNOWN.read_text(encoding="utf-8")).items()}
    for name, path in code_files().items():
        known.setdefault(name, set()).add(digest(path))
    return known
