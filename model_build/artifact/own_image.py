"""Build this project's serving image, for any processor, with Docker.

Everything in the image but its base is put together here, and the Dockerfile only copies it: a build needs no
network, and runs nothing of the other processor.
"""

import hashlib
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from model_build.artifact.serving_packages import IMAGE_LOCK, Target, packages_for
from model_build.errors import ModelBuildError

REPOSITORY: Final = "scones-serving"  # in ECR; model_build/role.yaml creates it
CONTAINER: Final = Path(__file__).resolve().parents[1] / "serving" / "container"
CONTEXT_FILES: Final = (CONTAINER / "Dockerfile", CONTAINER / "server.py")
DEFAULT_PYTHON: Final = "3.13"
DEFAULT_BASE_IMAGE: Final = "public.ecr.aws/docker/library/python:3.13-slim-bookworm"
_PRINT_VERSION: Final = "import sys; print('%d.%d' % sys.version_info[:2])"
_IMPORT_ALL: Final = "import numpy, onnxruntime, PIL.Image, starlette, uvicorn"
_DOCKER_PLATFORM: Final = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


def tag(architecture: str) -> str:
    """Return the tag of the image that this version of the project builds, such as `3f9c2a81d04e-x86_64`."""
    digest = hashlib.sha256()
    for path in (*CONTEXT_FILES, IMAGE_LOCK):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()[:12]}-{architecture}"


def write_context(target: Target, folder: Path) -> None:
    """Write everything that the image consists of, besides its base, into a folder.

    Raises:
        ModelBuildError: the packages can't be downloaded.
    """
    for path in CONTEXT_FILES:
        shutil.copyfile(path, folder / path.name)
    shutil.copytree(packages_for(target, IMAGE_LOCK), folder / "packages")


def build(target: Target, base_image: str = DEFAULT_BASE_IMAGE) -> str:
    """Build the image.

    Args:
        target: Python of the base image, and the processor to build for.
        base_image: an image that has this Python as `python3`.

    Returns:
        Its name in the local engine, `scones-serving:<tag>`.

    Raises:
        ModelBuildError: Docker is missing, the build failed, or the base image has another Python.
    """
    name = f"{REPOSITORY}:{tag(target.architecture)}"
    with tempfile.TemporaryDirectory(prefix="serving-image-") as folder:
        write_context(target, Path(folder))
        docker(
            *("build", "--quiet", "--platform", _DOCKER_PLATFORM[target.architecture]),
            *("--build-arg", f"BASE_IMAGE={base_image}", "--tag", name, folder),
        )
    if platform.machine() in {target.architecture, target.wheel_machine}:
        _check(name, target)
    return name


def _check(name: str, target: Target) -> None:
    """Run the image's Python once: it must be the one that the packages are for."""
    found = docker("run", "--rm", "--entrypoint", "python3", name, "-c", _PRINT_VERSION).strip()
    if found != target.python:
        raise ModelBuildError(
            f"the base image has Python {found}, not {target.python}: give --python {found}"
        )
    docker("run", "--rm", "--entrypoint", "python3", name, "-c", _IMPORT_ALL)


def docker(*arguments: str, password: str | None = None) -> str:
    """Run a command of Docker and return its standard output.

    Args:
        arguments: the command line without `docker`.
        password: what it reads from standard input.

    Raises:
        ModelBuildError: Docker is not installed, or the command failed.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments], input=password, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ModelBuildError(
            "docker is not installed: an image is built and pushed on a machine with a Docker engine"
        ) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ModelBuildError(f"`docker {arguments[0]}` failed: {lines[-1] if lines else done.returncode}")
    return done.stdout
