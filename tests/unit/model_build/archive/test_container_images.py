"""Images that exist: of AWS in every region that it lists, and our own."""

import json
from typing import Any

import boto3
import pytest

from localcloud.application import provide_serving_image
from localcloud.sagemaker.validation import check_request
from model_build.archive import own_image
from model_build.archive.container_images import (
    ACCOUNTS,
    image_of,
    look_up_image,
    serving_image,
    training_image,
)
from model_build.errors import RefusedError


@pytest.mark.parametrize("region", sorted(ACCOUNTS))
def test_every_region_has_a_registry_that_sagemaker_accepts(region: str) -> None:
    uri, image = serving_image("ray", region)

    check_request("sagemaker", "CreateModel", {"ModelName": "m", "PrimaryContainer": {"Image": uri}})
    assert uri.startswith(f"{ACCOUNTS[region]}.dkr.ecr.{region}.")
    assert uri.endswith(f"/{image.tag}")


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
    provide_serving_image(session.client("ecr"), "scones-model-serving")
    assert look_up_image(session, uri) == ""


@pytest.mark.parametrize("host", [HOST, HOST.replace("ecr.", "ecr-fips.")])
def test_an_image_is_looked_up_by_digest_by_tag_or_as_the_latest(session: boto3.Session, host: str) -> None:
    ecr: Any = session.client("ecr")
    ecr.create_repository(repositoryName="team/model")
    manifest = {"schemaVersion": 2, "mediaType": own_image.MANIFEST_TYPE, "layers": []}
    put = {"repositoryName": "team/model", "imageManifest": json.dumps(manifest)}
    ecr.put_image(**put, imageTag="latest")
    digest = ecr.put_image(**put, imageTag="v1")["image"]["imageId"]["imageDigest"]

    for end in ("", ":v1", f"@{digest}", f":v1@{digest}"):
        assert look_up_image(session, f"{host}/team/model{end}") == ""


def test_what_can_not_be_looked_up_is_a_notice_and_what_is_not_there_is_refused(
    session: boto3.Session,
) -> None:
    # Emulators have no repositories of AWS's; SageMaker itself refuses an image that does not exist.
    ray, image = serving_image("ray", "eu-west-1")
    assert "can't be looked up" in look_up_image(session, ray)
    assert image_of(ray) == image
    for elsewhere in ("docker.io/library/python:3.13", "123.dkr.ecr.us-east-1.amazonaws.com/model:1"):
        assert "not in Amazon ECR" in look_up_image(session, elsewhere)
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
