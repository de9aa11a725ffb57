"""A registry that has this project's serving image, without an image: SageMaker's emulators run none."""

import contextlib
import json
from typing import Any

from model_build.archive import own_image

MANIFEST = {"schemaVersion": 2, "mediaType": own_image.MANIFEST_TYPE, "layers": []}


def provide_own_image(ecr: Any, repository: str = own_image.REPOSITORY) -> None:
    """Create the repository and put a manifest under the tag that `deploy --image own` looks for."""
    with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
        ecr.create_repository(repositoryName=repository)
    with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):  # of a test before, in this process
        ecr.put_image(
            repositoryName=repository,
            imageManifest=json.dumps(MANIFEST),
            imageTag=own_image.tag("x86_64"),
        )
