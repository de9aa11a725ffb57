"""Find the data archives, and download CIFAR-100 where it is missing."""

import http
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from commandline.terminal import progress_bar
from model_build.data.extract import digest
from model_build.errors import ArchiveError

ROOT: Final = Path(__file__).resolve().parents[2]
DATA_VARIABLE: Final = "SCONES_DATA"
CIFAR_100: Final = "cifar-100-python.tar.gz"
CIFAR_10: Final = "cifar-10-python.tar.gz"
CIFAR_100_URL: Final = f"https://www.cs.toronto.edu/~kriz/{CIFAR_100}"
CIFAR_100_MD5: Final = "eb9058c3a382ffc7106e4002c42a8d85"  # as the publisher states it
CHUNK: Final = 1 << 20
TIMEOUT_S: Final = 60


def data_folders() -> list[Path]:
    """Return the folders in which archives are looked for, in this order."""
    chosen = os.environ.get(DATA_VARIABLE)
    return [*([Path(chosen)] if chosen else []), ROOT / "data", ROOT.parent / "shared" / "data"]


def find_if_present(name: str) -> list[Path]:
    """Return the path of a data file or folder, or nothing if it is in none of the data folders."""
    return [folder / name for folder in data_folders() if (folder / name).exists()][:1]


def find_archive(name: str = CIFAR_100) -> Path:
    """Return the path of a data file or folder; an ArchiveError lists the folders that do not have it."""
    for found in find_if_present(name):
        return found
    raise ArchiveError(
        f"{name} was not found in {', '.join(map(str, data_folders()))}. Put it into one of these folders, "
        f"or name its folder in the environment variable {DATA_VARIABLE}; `scones model train` without "
        f"--data downloads {CIFAR_100}."
    )


def find_or_download_cifar100() -> Path:
    """Return the path of the CIFAR-100 archive; download it (169 MB) to the first data folder if need be."""
    for path in find_if_present(CIFAR_100):
        return path
    return download(CIFAR_100_URL, CIFAR_100_MD5, data_folders()[0] / CIFAR_100)


def training_archives() -> list[Path]:
    """Return the archives to train on by default: CIFAR-100, and CIFAR-10 if present, for more negatives."""
    return [find_or_download_cifar100(), *find_if_present(CIFAR_10)]


def download(url: str, md5: str, target: Path) -> Path:
    """Download a file, resuming an interrupted attempt, and move it into place once its digest matches."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        _fetch(url, part)
    except (OSError, http.client.HTTPException) as error:
        raise ArchiveError(
            f"could not download {url}: {error}. Run the command again to resume, "
            f"or put the file at {target}."
        ) from error
    found = digest(part, "md5")
    if found != md5:
        part.unlink()
        raise ArchiveError(
            f"{url} has MD5 {found}, expected {md5}: the download was deleted; run the command again"
        )
    return part.replace(target)


def _fetch(url: str, part: Path) -> None:
    """Append to `part` the bytes that it lacks."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the callers name http(s) addresses
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the file is complete; its digest shows whether it is right
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        have = have if resumed else 0
        expected = have + int(response.headers.get("Content-Length", 0))
        bar = progress_bar(total=expected or None, title=url, unit="B", unit_scale=True, initial=have)
        with part.open("ab" if resumed else "wb") as file, bar:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if part.stat().st_size < expected:
        raise http.client.HTTPException(f"the connection ended at {part.stat().st_size} of {expected} bytes")
