"""Brings a model to the form that the serving image expects: a `model.tar.gz` with all its files."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from botocore.exceptions import ClientError

from model_build.cloud_errors import CloudError, RefusedError

if TYPE_CHECKING:
    import boto3

    from model_build.images import ServingImage


def prepare_archive(model: Path | str, image: ServingImage, scratch: Path, session: boto3.Session) -> Path:
    """Makes sure that there is an archive that the image can serve.

    Args:
        model: a model folder, a `model.tar.gz`, or the `s3://` URI of one.
        image: what will serve it; an image of the user's own gets an archive as it is.
        scratch: an empty folder for what must be fetched or packed anew.
        session: for fetching from S3.

    Returns:
        The archive: the given one where it will do, else one in `scratch`.

    Raises:
        RefusedError: there is no such model, or it is no model archive.
        CloudError: it can't be fetched.
    """
    path = _fetch(str(model), scratch / "fetched.tar.gz", session) if _is_s3(model) else Path(model)
    if path.is_dir():
        return _pack(path, scratch)
    if not path.is_file():
        raise RefusedError(f"--model {model}: no such folder or file; give a model folder or a model.tar.gz")
    members = _member_names(path)
    if all(member in members for member in image.archive_members):
        return path
    # A training job's archive lacks what only some servers need; packing it again adds that.
    folder = scratch / "unpacked"
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    return _pack(folder, scratch)


def _pack(folder: Path, scratch: Path) -> Path:
    from model_build.package import package_model

    return package_model(folder, scratch / "model.tar.gz")


def _is_s3(model: Path | str) -> bool:
    return isinstance(model, str) and model.startswith("s3://")


def _fetch(uri: str, target: Path, session: boto3.Session) -> Path:
    parts = urlparse(uri)
    try:
        session.client("s3").download_file(parts.netloc, parts.path.lstrip("/"), str(target))
    except ClientError as error:
        raise CloudError(f"--model {uri} can't be fetched: {error}") from error
    return target


def _member_names(path: Path) -> set[str]:
    try:
        with tarfile.open(path, "r:gz") as archive:
            return {member.name.removeprefix("./") for member in archive if member.isfile()}
    except (tarfile.TarError, OSError) as error:
        raise RefusedError(f"--model {path} is no model.tar.gz: {error}") from error
