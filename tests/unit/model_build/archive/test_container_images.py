"""Images that exist: of AWS in every region that it lists, and our own."""

from typing import Any

import boto3
import pytest

from localcloud.sagemaker.validation import check_request
from model_build.archive.container_images import (
    ACCOUNTS,
    EcrImage,
    image_of,
    look_up_image,
    parse_uri,
    serving_image,
    training_image,
)
from model_build.errors import RefusedError
from tests.support.serving_image import provide_own_image


@pytest.mark.parametrize("region", sorted(ACCOUNTS))
def test_every_region_has_a_registry_that_sagemaker_accepts(region: str) -> None:
    uri, image = serving_image("ray", region)

    check_request("sagemaker", "CreateModel", {"ModelName": "m", "PrimaryContainer": {"Image": uri}})
    repository, tag = image.tag.split(":")
    assert parse_uri(uri) == EcrImage(ACCOUNTS[region], region, repository, tag, None)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "763104351884.dkr.ecr.eu-west-1.amazonaws.com"),
        ("cn-north-1", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "442386744353.dkr.ecr.us-gov-west-1.amazonaws.com"),
        ("eusc-de-east-1", "204133271717.dkr.ecr.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_hosts_of_every_partition(region: str, host: str) -> None:
    assert serving_image("ray", region)[0] == f"{host}/ray:serve-ml-sagemaker-cpu-v1.4"
    assert training_image(None, region) == f"{host}/pytorch:2.13-cpu-amzn2023-sagemaker"


def test_unknown_region_needs_another_image() -> None:
    with pytest.raises(RefusedError, match="--image own"):
        serving_image("ray", "mars-north-1")
    assert training_image("mine/image:1", "mars-north-1") == "mine/image:1"


def test_images_of_aws_do_not_run_on_arm() -> None:
    with pytest.raises(RefusedError, match=r"ml\.m6g\.large.*--image own"):
        serving_image("ray", "eu-west-1", instance_type="ml.m6g.large")


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/model:v1",
            EcrImage("123456789012", "eu-west-1", "team/model", "v1", None),
        ),
        (
            "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com/model",
            EcrImage("123456789012", "us-east-1", "model", None, None),
        ),
        (
            f"123456789012.dkr.ecr.us-east-1.amazonaws.com/model@sha256:{'0' * 64}",
            EcrImage("123456789012", "us-east-1", "model", None, f"sha256:{'0' * 64}"),
        ),
        ("public.ecr.aws/library/python:3.13", None),
        ("docker.io/library/python", None),
        ("123.dkr.ecr.us-east-1.amazonaws.com/model:1", None),
    ],
)
def test_parts_of_an_image_uri(uri: str, found: EcrImage | None) -> None:
    assert parse_uri(uri) == found


def test_an_image_without_tag_is_the_latest() -> None:
    assert EcrImage("1", "r", "m", None, None).image_id == {"imageTag": "latest"}
    assert EcrImage("1", "r", "m", "v1", None).image_id == {"imageTag": "v1"}
    assert EcrImage("1", "r", "m", "v1", "sha256:0").image_id == {"imageDigest": "sha256:0"}


HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
REPOSITORY = f"{HOST}/scones-model-serving"


def test_an_image_of_ours_is_looked_up_and_refused_with_the_command_that_pushes_it(
    session: boto3.Session,
) -> None:
    uri, image = serving_image("own", "eu-west-1", repository=REPOSITORY)
    assert image_of(uri) == image

    with pytest.raises(RefusedError, match=r"the repository does not exist.*image push"):
        look_up_image(session, uri)
    session.client("ecr").create_repository(repositoryName="scones-model-serving")
    with pytest.raises(RefusedError, match=r"does not exist.*image push"):
        look_up_image(session, uri)
    provide_own_image(session.client("ecr"), "scones-model-serving")
    assert look_up_image(session, uri) == ""


def test_what_can_not_be_looked_up_is_a_notice_and_what_is_not_there_is_refused(
    session: boto3.Session,
) -> None:
    # Emulators have no repositories of AWS's; SageMaker itself refuses an image that does not exist.
    ray, image = serving_image("ray", "eu-west-1")
    assert "can't be looked up" in look_up_image(session, ray)
    assert image_of(ray) == image
    assert "not in Amazon ECR" in look_up_image(session, "docker.io/library/python:3.13")
    assert image_of("docker.io/library/python:3.13").archive_members == ()
    with pytest.raises(RefusedError, match="its own region only, which is eu-west-1"):
        look_up_image(session, "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/model:v1")
    session.client("ecr").create_repository(repositoryName="team/model")
    with pytest.raises(RefusedError, match=r"team/model:v2 does not exist.*--image"):
        look_up_image(session, f"{HOST}/team/model:v2")

    def deny(**_: Any) -> Any:
        error = {"Code": "AccessDeniedException", "Message": "no ecr:BatchGetImage"}
        return type("Answer", (), {"status_code": 400})(), {"Error": error}

    events: Any = session.events
    events.register("before-call.ecr.BatchGetImage", deny)
    assert "no ecr:BatchGetImage" in look_up_image(session, f"{HOST}/team/model:v2")
