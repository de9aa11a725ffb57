"""`model_build train-cloud` on the local cloud: the SDK's own scripts run our training."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from model_build.archive.container_images import SERVING_IMAGES
from model_build.archive.prepare import prepare_archive
from model_build.cloud_training import TrainRequest, train
from model_build.endpoint.steps import Wanted
from model_build.errors import CloudError
from model_build.training.recipe import Recipe
from tests.support.archives import without_packages
from tests.support.deployment import deploy
from tests.support.local_cloud import LocalCloud, bare_cloud, environment_of
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive, write_photo

BUCKET = "scones-models"
ROLE = "arn:aws:iam::000000000000:role/scones-model"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with bare_cloud(tmp_path / "cloud") as cloud, environment_of(cloud.running):
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    return [
        write_archive(tmp_path / "cifar-100-python.tar.gz", cifar100_files(["red", "blue"], 20, 4)),
        write_archive(tmp_path / "cifar-10-python.tar.gz", cifar10_files(["white", "black"], 10, 2)),
    ]


def request(archives: list[Path], output: Path, recipe: Recipe) -> TrainRequest:
    return TrainRequest(
        data=archives,
        role_arn=ROLE,
        bucket=BUCKET,
        classes=("red", "blue"),
        output=output,
        recipe=recipe,
        instance_type="ml.c5.xlarge",
        max_runtime_seconds=3600,
    )


def test_a_job_trains_a_model_that_deploys_with_its_own_code(
    cloud: LocalCloud, archives: list[Path], tmp_path: Path
) -> None:
    result = train(request(archives, tmp_path / "output", Recipe(epochs=4)))

    assert result.metrics["images"] == 2 * 4
    assert result.metrics["accuracy"] >= 0.75
    archive = tmp_path / "output" / "model.tar.gz"
    for name, image in SERVING_IMAGES.items():
        (tmp_path / name).mkdir()
        prepared = prepare_archive(archive, image, tmp_path / name, boto3.Session())
        assert without_packages(archive).keys() >= without_packages(prepared).keys()
    deploy(Wanted(result.model_data_url, "trained"), role=ROLE, bucket=BUCKET)
    photo = write_photo(tmp_path / "blue.png", "blue")
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="trained", ContentType="image/png", Body=photo.read_bytes()
    )
    red, blue = json.loads(answer["Body"].read())
    assert blue > red


def test_a_job_that_fails_shows_what_the_script_said(
    cloud: LocalCloud, archives: list[Path], tmp_path: Path
) -> None:
    assert cloud.running.pids

    with pytest.raises(CloudError, match="is Failed: AlgorithmError: --batch 4096") as failed:
        train(request(archives, tmp_path / "output", Recipe(batch=4096)))

    assert str(failed.value).count("fewer training images than one batch") == 2, "the reason and the log"
