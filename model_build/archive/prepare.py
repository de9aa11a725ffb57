"""Provide the `model.tar.gz` that a serving image expects, whatever form the model comes in."""

import shutil
import tarfile
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import Session, aws_reason
from model_build.archive.container_images import ServingImage
from model_build.archive.package import BUNDLED, CODE, HANDLERS, code_files, package_model, verify_archive
from model_build.data.extract import ExtractionError, extract, hash_files
from model_build.errors import CloudError, RefusedError


def prepare_archive(model: Path | str, image: ServingImage, scratch: Path, session: Session) -> Path:
    """Return an archive that the image can serve: the given one if it is complete, else one in `scratch`.

    `model` is a folder, a `model.tar.gz`, or the `s3://` URI of one; a custom image gets an archive as it is.
    """
    is_s3 = str(model).startswith("s3://")
    path = download(str(model), scratch / "downloaded.tar.gz", session) if is_s3 else Path(model)
    if path.is_dir():
        path = package_model(path, scratch / "model.tar.gz", image.packages)
    elif not path.is_file():
        raise RefusedError(f"--model {model}: no such folder or file; give a model folder or a model.tar.gz")
    if not image.archive_members:  # another image may serve anything: files of any size, and links
        if tarfile.is_tarfile(path):
            return path
        raise RefusedError(f"--model {model} is not a usable model.tar.gz: it is no tar archive")
    try:
        verify_archive(path)
        if missing := _missing(path, image):
            path = _complete(path, missing, image, scratch)
            missing = _missing(path, image)
    except ExtractionError as error:
        raise RefusedError(f"--model {model} is not a usable model.tar.gz: {error}") from error
    if missing:
        wanted = f"{', '.join(missing)}, which the image {image.tag} looks for"
        raise RefusedError(f"--model {model} has code of its own without {wanted}")
    return path


def place_of(url: str) -> Any:
    """Return bucket and key of an `s3://` URI, as S3's operations take them."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return {"Bucket": bucket, "Key": key}


def download(uri: str, target: Path, session: Session) -> Path:
    """Download the model archive at an `s3://` URI; return `target`, or raise CloudError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        session.client("s3").download_file(**place_of(uri), Filename=str(target))
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"the model {uri} cannot be downloaded: {aws_reason(error)}") from error
    return target


def _complete(path: Path, missing: list[str], image: ServingImage, scratch: Path) -> Path:
    """Add the files and packages that only some images need: an archive made for another image lacks them."""
    folder = scratch / "extracted"
    extract(path, folder)
    if (folder / CODE).is_dir():  # otherwise packaging adds this project's code
        for name, file in code_files().items():
            # Never inference.py: a model that came with code of its own keeps it.
            if name in missing and name != HANDLERS:
                shutil.copyfile(file, folder / name)
    shutil.rmtree(folder / BUNDLED, ignore_errors=True)
    return package_model(folder, scratch / "completed.tar.gz", image.packages)


def _missing(path: Path, image: ServingImage) -> list[str]:
    """Return what the image looks for and the archive lacks; an ExtractionError if the archive is unsafe."""
    present = hash_files(path)
    missing = [name for name in image.archive_members if name not in present]
    folder = f"{BUNDLED}/{image.packages.folder}/" if image.packages else ""
    if not any(name.startswith(folder) for name in present):
        missing.append(folder)
    return missing
