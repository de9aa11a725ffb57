"""Amazon ECR: whether an image exists that SageMaker would be told to use, and pushing our own."""

import base64
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.artifact.own_image import REPOSITORY, docker
from model_build.artifact.registries import ACCOUNTS, EcrImage, parse_uri, registry
from model_build.errors import CloudError, RefusedError

PUSH: Final = "`scones model image push` builds and pushes it"


def look_up(session: boto3.Session, uri: str) -> str:
    """Look an image up before SageMaker is told to use it.

    Args:
        session: account and region.
        uri: the image.

    Returns:
        Why it could not be looked up, for a notice; empty if it exists. A deployment can go on in both cases:
        SageMaker itself refuses an image that does not exist.

    Raises:
        RefusedError: the image does not exist, or is in another region; names the way out.
    """
    image = parse_uri(uri)
    if image is None:
        return f"{uri} is not in Amazon ECR and can't be looked up"
    region = str(session.region_name)
    if image.region != region:
        raise RefusedError(
            f"--image {uri}: SageMaker pulls images of its own region only, which is {region}; "
            f"push the image to {registry(image.account, region)}"
        )
    image_id: Any = image.image_id
    try:
        answer = session.client("ecr").batch_get_image(
            registryId=image.account, repositoryName=image.repository, imageIds=[image_id]
        )
    except (ClientError, BotoCoreError) as error:
        if not _repository_is_missing(error) or _is_aws(image):
            return f"{uri} can't be looked up: {aws_reason(error)}"
        raise RefusedError(f"--image {uri}: the repository does not exist; {_way_out(image)}") from error
    if answer["images"]:
        return ""
    reasons = "; ".join(failure.get("failureReason", "") for failure in answer["failures"])
    raise RefusedError(f"--image {uri} does not exist ({reasons or 'not found'}); {_way_out(image)}")


def push(session: boto3.Session, name: str) -> str:
    """Push an image of the local engine to this account's registry, unless its tag is there already.

    Args:
        session: account and region.
        name: the image in the local engine, `scones-serving:<tag>`.

    Returns:
        The image's URI.

    Raises:
        CloudError: AWS refused a call.
        RefusedError: the repository does not exist.
        ModelBuildError: Docker is missing, or the push failed.
    """
    try:
        account = session.client("sts").get_caller_identity()["Account"]
        host = registry(account, str(session.region_name))
        uri = f"{host}/{name}"
        if _exists(session, uri):
            return uri
        token = session.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"pushing {name} failed: {aws_reason(error)}") from error
    user, _, password = base64.b64decode(token).decode().partition(":")
    docker("login", "--username", user, "--password-stdin", host, password=password)
    docker("tag", name, uri)
    docker("push", "--quiet", uri)
    return uri


def _exists(session: boto3.Session, uri: str) -> bool:
    image = parse_uri(uri)
    if image is None:
        raise AssertionError(f"not an image of Amazon ECR: {uri}")
    image_id: Any = image.image_id
    try:
        answer = session.client("ecr").batch_get_image(repositoryName=image.repository, imageIds=[image_id])
    except ClientError as error:
        if _repository_is_missing(error):
            raise RefusedError(
                f"the repository {REPOSITORY} does not exist in {session.region_name}: deploy "
                "model_build/role.yaml (again), which creates it"
            ) from error
        raise
    return bool(answer["images"])


def _repository_is_missing(error: ClientError | BotoCoreError) -> bool:
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == "RepositoryNotFoundException"


def _is_aws(image: EcrImage) -> bool:
    """Return whether the registry is that of AWS's images, whose repositories an emulator does not have."""
    return ACCOUNTS.get(image.region) == image.account


def _way_out(image: EcrImage) -> str:
    if image.repository == REPOSITORY:
        return PUSH
    return "give the complete URI of an image that exists, or another name, with --image"
