"""Labelled copies of photos in the bucket: `labelled/<label>/<identity>-<name>`, one for each decision."""

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

from operations.stack import Stack

NEITHER: Final = "other"
"""Folder of photos that show none of the labels, as `model learn` and `model evaluate` read it."""
LABELLED: Final = "labelled/"
_NAME_BYTES: Final = 255
_ENDING_BYTES: Final = 16


def identity(uri: str, version: str) -> str:
    """Return a digest that tells the versions of photos apart."""
    return hashlib.sha256(f"{uri}\n{version}".encode()).hexdigest()[:12]


def file_name(uri: str, version: str) -> str:
    """Return the name of a labelled copy; with at most 255 bytes its key has fewer than S3's 1,024."""
    return shortened(f"{identity(uri, version)}-{PurePosixPath(uri).name}")


def shortened(name: str) -> str:
    """Return a file's name with at most 255 bytes in UTF-8, as file systems allow, cut before its ending."""
    if len(name.encode()) <= _NAME_BYTES:
        return name
    ending = PurePosixPath(name).suffix
    if len(ending.encode()) > _ENDING_BYTES:
        ending = ""
    stem = name.removesuffix(ending).encode()[: _NAME_BYTES - len(ending.encode())]
    return stem.decode(errors="ignore") + ending


def copies(stack: Stack, uri: str, version: str) -> Iterator[dict[str, Any]]:
    """Yield the labelled copies of a photo as S3 describes them, under whatever label: all their versions."""
    bucket, pages = stack.output("PhotoBucketName"), stack.client("s3").get_paginator("list_object_versions")
    folders = pages.paginate(Bucket=bucket, Prefix=LABELLED, Delimiter="/").search("CommonPrefixes[].Prefix")
    for folder in filter(None, folders):
        yield from stack.stored(f"{folder}{identity(uri, version)}-")
