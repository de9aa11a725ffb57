"""Read and extract tar archives from an untrusted source, and digest files.

`tarfile.TarFile.extractall(filter="data")` exists only from Python 3.11.4 on (Debian 12 has 3.11.2), and it
bounds neither sizes nor counts. This module is stricter than that filter (PEP 706) on every Python: it
refuses an archive that contains anything but regular files and folders inside the destination.
"""

import gzip
import hashlib
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, cast

from model_build.errors import ModelBuildError


@dataclass(frozen=True)
class Limits:
    """Upper limits of an archive."""

    members: int = 10_000
    total_bytes: int = 2 << 30


DEFAULT_LIMITS: Final = Limits()
# tarfile reads extended headers (long names, PAX records) into memory in one piece; real ones are short.
LARGEST_READ: Final = 1 << 20
Member = tuple[PurePosixPath, BufferedReader | None]  # a file; None is a folder


class ExtractionError(ModelBuildError):
    """An archive cannot be read or is unsafe to extract; the message names it and the reason."""


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def extract(archive: Path, folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
    """Extract a tar.gz into a folder, without its owners, modes and times; the last of equal names stays.

    An ExtractionError leaves what was written before: the archive is damaged, exceeds a limit, or contains an
    absolute path, one with `..`, a link, a device or a FIFO; or a file cannot be written.
    """
    with _members(archive, limits) as members:
        folder.mkdir(parents=True, exist_ok=True)
        root = folder.resolve()
        for name, source in members:
            target = root / name
            if not target.resolve().is_relative_to(root):  # a link that the folder had before
                raise tarfile.TarError(f"{str(name)!r} leads outside the folder")
            if source is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(source, file)


def hash_files(archive: Path, limits: Limits = DEFAULT_LIMITS) -> dict[str, str]:
    """Return the SHA-256 of each file in a tar.gz by its relative name; refuse what `extract` refuses."""
    with _members(archive, limits) as members:
        return {
            str(name): hashlib.file_digest(source, "sha256").hexdigest()
            for name, source in members
            if source is not None
        }


def read_file(archive: Path, name: str) -> bytes | None:
    """Return a file of at most 1 MiB in a tar.gz, or None; refuse before it what `extract` refuses."""
    with _members(archive, DEFAULT_LIMITS) as members:
        for path, source in members:
            if str(path) == name and source is not None:
                content = source.read(LARGEST_READ + 1)
                if len(content) > LARGEST_READ:
                    raise tarfile.TarError(f"{name} has more than {LARGEST_READ:,} bytes")
                return content
    return None


def read_files(archive: Path, wanted: Callable[[str], bool], limits: Limits) -> dict[str, bytes]:
    """Return the content of some files in a tar.gz; refuse what `extract` refuses."""
    with _members(archive, limits) as members:
        return {
            str(name): b"".join(iter(partial(source.read, LARGEST_READ), b""))
            for name, source in members
            if source is not None and wanted(str(name))
        }


@contextmanager
def _members(archive: Path, limits: Limits) -> Iterator[Iterator[Member]]:
    """Open an archive, and report what goes wrong while it is read."""
    try:
        with gzip.open(archive, "rb") as unpacked:
            reader = _BoundedReader(cast("BinaryIO", unpacked), limits)
            with tarfile.open(fileobj=cast("BinaryIO", reader), mode="r:") as tar:
                yield _checked(tar, limits)
            while reader.read(LARGEST_READ):
                pass  # what follows the last member: gzip compares its checksum at the end of the stream
    except OSError as error:
        # A path of the archive or of the destination; gzip's own BadGzipFile has neither name nor number.
        where = f" ({error.filename})" if error.filename and os.fspath(error.filename) != str(archive) else ""
        raise ExtractionError(f"{archive} cannot be extracted: {error.strerror or error}{where}") from error
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise ExtractionError(f"{archive} cannot be extracted: {error}") from error


def _checked(tar: tarfile.TarFile, limits: Limits) -> Iterator[Member]:
    """Yield the members; raise at the first that must not be extracted."""
    total = 0
    for count, member in enumerate(tar, 1):
        name = PurePosixPath(member.name)
        total += max(0, member.size)
        if name.is_absolute() or ".." in name.parts or "\0" in member.name:
            raise tarfile.TarError(f"the path {member.name!r} is absolute or leads outside the archive")
        if not (member.isfile() or member.isdir()) or member.issparse() or member.size < 0:
            raise tarfile.TarError(f"{member.name!r} is neither a regular file nor a folder")
        if count > limits.members:
            raise tarfile.TarError(f"more than {limits.members:,} members")
        if total > limits.total_bytes:
            raise tarfile.TarError(f"more than {limits.total_bytes:,} bytes")
        yield name, cast("BufferedReader | None", tar.extractfile(member))


class _BoundedReader:
    """A stream that refuses to decompress more than the limit, or a suspiciously long header at once."""

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self._stream, self.tell = stream, stream.tell
        # Each member adds a header and padding, and the archive ends with two blocks in a record of 20.
        self._limit = limits.total_bytes + limits.members * 2 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST_READ:  # negative sizes occur too (CVE-2025-8194)
            raise tarfile.TarError(f"a header of {size:,} bytes")
        data = self._stream.read(size)
        self._check(self._stream.tell())
        return data

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise tarfile.TarError(f"more than {self._limit:,} bytes")
