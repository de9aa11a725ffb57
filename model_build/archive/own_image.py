"""Build this project's serving image, for any processor, with Docker.

Everything in the image but its base is put together here, and the Dockerfile only copies it: a build needs no
network, and runs nothing of the other processor.
"""

import base64
import hashlib
import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from commandline.aws import Session
from model_build.archive.serving_packages import ARCHITECTURES, IMAGE_LOCK, Target, packages_for
from model_build.errors import ModelBuildError, RefusedError

REPOSITORY: Final = "scones-serving"  # in the local engine, and in ECR where no stack of role.yaml names one
MANIFEST_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
TAG: Final = re.compile(r"[0-9a-f]{12}-(x86_64|arm64)")
CONTAINER: Final = Path(__file__).resolve().parents[1] / "serving" / "container"
CONTEXT_FILES: Final = (CONTAINER / "Dockerfile", CONTAINER / "server.py")
DEFAULT_PYTHON: Final = "3.13"
DEFAULT_BASE_IMAGE: Final = "public.ecr.aws/docker/library/python:3.13-slim-bookworm"
_DOCKER_PLATFORM: Final = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


def tag(architecture: str) -> str:
    """Return the tag of the image that this version of the project builds, such as `3f9c2a81d04e-x86_64`."""
    digest = hashlib.sha256()
    for path in (*CONTEXT_FILES, IMAGE_LOCK):
        digest.update(path.read_bytes())
    return f"{digest.hexdigest()[:12]}-{architecture}"


def write_context(target: Target, folder: Path) -> None:
    """Write everything that the image consists of, besides its base, into a folder, for any user to read."""
    for path in CONTEXT_FILES:
        shutil.copyfile(path, folder / path.name)
    shutil.copytree(packages_for(target, IMAGE_LOCK), folder / "packages")
    for path in folder.rglob("*"):  # whoever made the packages may have kept them to themselves
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def build(target: Target, base_image: str = DEFAULT_BASE_IMAGE) -> str:
    """Build the image on a base that has the target's `python3`; return its name, `scones-serving:<tag>`.

    Where its Python can run here, it must be the one that the packages are for.
    """
    name = f"{REPOSITORY}:{tag(target.architecture)}"
    with tempfile.TemporaryDirectory(prefix="serving-image-") as folder:
        write_context(target, Path(folder))
        docker(
            *(*_builder(), "--quiet", "--platform", _DOCKER_PLATFORM[target.architecture]),
            *("--build-arg", f"BASE_IMAGE={base_image}", "--tag", name, folder),
        )
    if platform.machine() in {target.architecture, ARCHITECTURES[target.architecture]}:
        python = ("run", "--rm", "--entrypoint", "python3", name, "-c")
        found = docker(*python, "import sys; print('%d.%d' % sys.version_info[:2])").strip()
        if found != target.python:
            raise ModelBuildError(
                f"the base image has Python {found}, not {target.python}: give --python {found}"
            )
        docker(*python, "import numpy, onnxruntime, PIL.Image, starlette, uvicorn")
    return name


def _builder() -> tuple[str, ...]:
    """Return the command that makes an image of Docker's own media types, without attestations.

    SageMaker's CreateModel refuses what BuildKit makes by default. The builder before it, which Docker uses
    where buildx is not installed, knows neither.
    """
    try:
        docker("buildx", "version")
    except ModelBuildError:
        return ("build",)
    plain = ("--provenance=false", "--sbom=false", "--output", "type=docker,oci-mediatypes=false")
    return ("buildx", "build", *plain)


def push(session: Session, name: str, repository: str) -> str:
    """Push an image to a repository's URI in ECR, unless its tag is there already; return the image's URI."""
    host, _, path = repository.partition("/")
    tag_name = name.rpartition(":")[2]
    uri = f"{repository}:{tag_name}"
    ecr: Any = session.client("ecr")
    try:
        if _is_there(ecr, path, tag_name):
            return uri
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise RefusedError(f"the repository {repository} does not exist: give --stack-name") from error
    user, _, password = base64.b64decode(token).decode().partition(":")
    docker("login", "--username", user, "--password-stdin", host, password=password)
    docker("tag", name, uri)
    docker("push", "--quiet", uri)
    _is_there(ecr, path, tag_name)
    return uri


def _is_there(ecr: Any, repository: str, tag_name: str) -> bool:
    """Return whether a repository has a tag; refuse an image that SageMaker would not take."""
    found = ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageTag": tag_name}])["images"]
    kind = found[0].get("imageManifestMediaType", MANIFEST_TYPE) if found else MANIFEST_TYPE
    if kind != MANIFEST_TYPE:
        raise RefusedError(
            f"{repository}:{tag_name} is a {kind}, which SageMaker refuses: delete it (`aws ecr "
            f"batch-delete-image --repository-name {repository} --image-ids imageTag={tag_name}`), and push "
            "from a machine whose Docker has buildx"
        )
    return bool(found)


def docker(*arguments: str, password: str | None = None) -> str:
    """Run a command of Docker, which reads `password`; return its output, or raise ModelBuildError."""
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
