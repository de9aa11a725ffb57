"""Images that exist: of AWS in every region that it lists, and our own."""

import pytest

from localcloud.sagemaker.validation import check_request
from model_build.artifact.container_images import (
    ACCOUNTS,
    SERVING_IMAGES,
    EcrImage,
    parse_uri,
    serving_image,
    training_image,
)
from model_build.errors import RefusedError


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


def test_images_that_lack_onnx_runtime_get_packages() -> None:
    needs = {name: image.packages and image.packages.folder for name, image in SERVING_IMAGES.items()}

    assert needs == {"ray": "cp313-x86_64", "own": None}


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
