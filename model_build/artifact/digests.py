"""Digests of a model's networks: the manifest names them, and whoever reads the networks compares.

An archive's own checksum (gzip's CRC-32) tells damage on the way; a digest tells also a network that was
exchanged, and damage in a folder. Models that were written before there were digests have none to compare.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from model_build.errors import ModelBuildError


class DamagedModelError(ModelBuildError):
    """A file of a model is not the one that its manifest describes."""


def file_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 digests, in hexadecimal, of those of some files that a folder has; by name."""
    digests = {}
    for name in names:
        if (folder / name).is_file():
            with (folder / name).open("rb") as file:
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def require_equal(expected: Mapping[str, str] | None, found: Mapping[str, str], model: str) -> None:
    """Compare the digests of a model's files.

    Args:
        expected: those in the manifest; None for a model without.

    Raises:
        DamagedModelError: a file differs or is missing; the message names it.
    """
    for name, digest in (expected or {}).items():
        if name not in found:
            raise DamagedModelError(f"{model} has no {name}, which its manifest names: get the model again")
        if found[name] != digest:
            raise DamagedModelError(
                f"{model}: {name} is damaged or another model's: its SHA-256 is {found[name][:12]}…, the "
                f"manifest says {digest[:12]}…; get the model again, or train it anew"
            )
