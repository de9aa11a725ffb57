"""Looking an image up before SageMaker is told to use it, and pushing our own."""

import base64
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from model_build.artifact import own_image
from model_build.artifact.container_images import serving_image
from model_build.endpoint import registry
from model_build.endpoint.registry import look_up, push
from model_build.errors import RefusedError
from tests.support.serving_image import provide_own_image

ACCOUNT, REGION = "123456789012", "eu-west-1"
HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.Session(region_name=REGION)


def own_uri() -> str:
    return serving_image("own", REGION, account=ACCOUNT)[0]


def test_an_image_that_exists_needs_no_notice(session: boto3.Session) -> None:
    provide_own_image(session.client("ecr"))

    assert look_up(session, own_uri()) == ""


def test_an_image_that_was_not_pushed_is_refused_with_the_command_that_does(session: boto3.Session) -> None:
    with pytest.raises(RefusedError, match="image push"):
        look_up(session, own_uri())

    session.client("ecr").create_repository(repositoryName=own_image.REPOSITORY)
    with pytest.raises(RefusedError, match=r"does not exist.*image push"):
        look_up(session, own_uri())


def test_a_tag_that_does_not_exist_is_refused(session: boto3.Session) -> None:
    session.client("ecr").create_repository(repositoryName="team/model")

    with pytest.raises(RefusedError, match=r"team/model:v2 does not exist.*--image"):
        look_up(session, f"{HOST}/team/model:v2")


def test_a_repository_of_aws_that_cannot_be_found_is_a_notice(session: boto3.Session) -> None:
    # Emulators have no repositories of AWS's; SageMaker itself refuses an image that does not exist.
    assert "can't be looked up" in look_up(session, serving_image("ray", REGION)[0])


def test_an_image_of_another_region_is_refused(session: boto3.Session) -> None:
    with pytest.raises(RefusedError, match="its own region only, which is eu-west-1"):
        look_up(session, f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/team/model:v1")


def test_an_image_elsewhere_is_a_notice(session: boto3.Session) -> None:
    assert "not in Amazon ECR" in look_up(session, "docker.io/library/python:3.13")


def test_a_lookup_that_is_not_permitted_is_a_notice(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Denied:
        def batch_get_image(self, **_: Any) -> Any:
            raise ClientError(
                {"Error": {"Code": "AccessDeniedException", "Message": "no ecr:BatchGetImage"}},
                "BatchGetImage",
            )

    monkeypatch.setattr(boto3.Session, "client", lambda *_: Denied())

    assert "no ecr:BatchGetImage" in look_up(session, own_uri())


class Docker:
    """Takes note of the commands."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.passwords: list[str] = []

    def __call__(self, *arguments: str, password: str | None = None) -> str:
        """Take note of a command."""
        self.calls.append(arguments)
        self.passwords += [password] if password else []
        return ""


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> Docker:
    made = Docker()
    monkeypatch.setattr(registry, "docker", made)
    return made


def test_push_logs_in_tags_and_pushes(session: boto3.Session, docker: Docker) -> None:
    session.client("ecr").create_repository(repositoryName=own_image.REPOSITORY)
    name = f"{own_image.REPOSITORY}:tag-x86_64"

    assert push(session, name) == f"{HOST}/{name}"

    assert [call[0] for call in docker.calls] == ["login", "tag", "push"]
    assert docker.calls[0][-1] == HOST
    assert docker.calls[1][1:] == (name, f"{HOST}/{name}")
    assert docker.calls[2][-1] == f"{HOST}/{name}"
    token = session.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    assert f"AWS:{docker.passwords[0]}" == base64.b64decode(token).decode()
    assert not any(docker.passwords[0] in argument for call in docker.calls for argument in call)


def test_a_tag_that_is_there_is_not_pushed_again(session: boto3.Session, docker: Docker) -> None:
    provide_own_image(session.client("ecr"))
    name = f"{own_image.REPOSITORY}:{own_image.tag('x86_64')}"

    assert push(session, name) == f"{HOST}/{name}"

    assert docker.calls == []


def test_push_without_repository_names_the_template_that_creates_it(
    session: boto3.Session, docker: Docker
) -> None:
    with pytest.raises(RefusedError, match=r"role\.yaml"):
        push(session, f"{own_image.REPOSITORY}:tag")

    assert docker.calls == []
