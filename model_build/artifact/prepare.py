"""Brings a model to the form that the serving image expects: a `model.tar.gz` with all its files."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from botocore.exceptions import ClientError

from model_build.artifact.package import SERVING, package_model
from model_build.errors import CloudError, RefusedError

if TYPE_CHECKING:
    import boto3

    from model_build.artifact.container_images import ServingImage


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
        RefusedError: there is no such model, or it is no model archive, or its own code can't be served.
        CloudError: it can't be fetched.
        ModelBuildError: it can't be packed.
    """
    path = _fetch(model, scratch / "fetched.tar.gz", session) if _is_s3(model) else Path(model)
    if path.is_dir():
        path = package_model(path, scratch / "model.tar.gz")
    elif not path.is_file():
        raise RefusedError(f"--model {model}: no such folder or file; give a model folder or a model.tar.gz")
    missing = _missing(path, image)
    if not missing:
        return path
    path = _pack_again(path, missing, scratch)
    if missing := _missing(path, image):
        raise RefusedError(
            f"--model {model} has code of its own without {', '.join(missing)}, "
            f"which the image {image.tag} looks for"
        )
    return path


def _pack_again(path: Path, missing: list[str], scratch: Path) -> Path:
    """Adds what only some images look for: an archive made for another one lacks it."""
    folder = scratch / "unpacked"
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    for name in missing:
        ours = SERVING / Path(name).name
        # Never the model's own inference.py: code that came with a model stays that model's.
        if (folder / "code").is_dir() and Path(name).name != "inference.py" and ours.is_file():
            shutil.copy(ours, folder / name)
    return package_model(folder, scratch / "packed.tar.gz")


def _is_s3(model: Path | str) -> bool:
    return str(model).startswith("s3://")


def _fetch(uri: Path | str, target: Path, session: boto3.Session) -> Path:
    parts = urlparse(str(uri))
    try:
        session.client("s3").download_file(parts.netloc, parts.path.lstrip("/"), str(target))
    except ClientError as error:
        raise CloudError(f"--model {uri} can't be fetched: {error}") from error
    return target


def _missing(path: Path, image: ServingImage) -> list[str]:
    """Which of the files that the image looks for an archive lacks."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {member.name.removeprefix("./") for member in archive if member.isfile()}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise RefusedError(f"--model {path} is no model.tar.gz: {error}") from error
    return [name for name in image.archive_members if name not in members]
