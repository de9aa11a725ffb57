"""`model_build train-cloud`: the SDK's ModelTrainer really runs, against moto in place of AWS."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from model_build import cloud_training
from model_build.__main__ import main
from model_build.archive.package import package_model
from model_build.cloud_training import TrainRequest, TrainResult, train
from model_build.errors import RefusedError
from model_build.training.recipe import Recipe
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive, write_model

BUCKET = "scones-models"
ROLE = "arn:aws:iam::123456789012:role/scones-model"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[boto3.Session]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        made = boto3.Session()
        made.client("s3").create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    return [
        write_archive(tmp_path / "cifar-100-python.tar.gz", cifar100_files(["red", "blue"], train=3, test=4)),
        write_archive(
            tmp_path / "cifar-10-python.tar.gz", cifar10_files(["white", "black"], train=2, test=2)
        ),
    ]


@pytest.fixture
def _container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Add what moto's training jobs lack: a container, which leaves a model where the job says."""
    archive = package_model(write_model(tmp_path / "model", ["red", "blue"]), tmp_path / "trained.tar.gz")
    start = cloud_training.start

    def start_and_train(request: TrainRequest, data_url: str, session: boto3.Session) -> str:
        job_name = start(request, data_url, session)
        job = session.client("sagemaker").describe_training_job(TrainingJobName=job_name)
        key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix(f"s3://{BUCKET}/")
        session.client("s3").upload_file(str(archive), BUCKET, key)
        return job_name

    monkeypatch.setattr(cloud_training, "start", start_and_train)


def request_of(archives: list[Path], tmp_path: Path, **more: Any) -> TrainRequest:
    values: dict[str, Any] = {
        "recipe": Recipe(),
        "instance_type": "ml.c5.xlarge",
        "max_runtime_seconds": 3600,
    }
    values |= {"role_arn": ROLE, "bucket": BUCKET, "classes": ("red", "blue"), "output": tmp_path / "output"}
    return TrainRequest(data=archives, **{**values, **more})


def job_of(session: boto3.Session, result: TrainResult) -> dict[str, Any]:
    return dict(session.client("sagemaker").describe_training_job(TrainingJobName=result.job_name))


@pytest.mark.usefixtures("_container")
def test_job_trains_on_the_images_by_class(
    session: boto3.Session, archives: list[Path], tmp_path: Path
) -> None:
    result = train(request_of(archives, tmp_path, recipe=Recipe(epochs=80)), session=session)

    job = job_of(session, result)
    image = job["AlgorithmSpecification"]["TrainingImage"]
    assert image == "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"
    assert job["RoleArn"] == ROLE
    assert job["OutputDataConfig"]["S3OutputPath"] == f"s3://{BUCKET}/training"
    # The SDK adds channels for code; without `data`, training would look for images in them.
    assert job["HyperParameters"] == {
        "classes": "red,blue",
        "data": "/opt/ml/input/data/train",
        "epochs": "80",
    }
    channels = {c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job["InputDataConfig"]}
    assert set(channels) == {"train", "code", "sm_drivers"}
    assert channels["code"].startswith(f"s3://{BUCKET}/training/"), "the role may read nothing else"
    prefix = channels["code"].removeprefix(f"s3://{BUCKET}/").rstrip("/") + "/"
    pages = session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    code = {item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", [])}
    assert {
        "model_build/train.py",
        "model_build/training_requirements.txt",
        "model_build/serving/inference.py",
        "model_build/serving/ray/config.yaml",
        "commandline/program.py",
    } <= code
    assert {name.split("/")[0] for name in code} == {"model_build", "commandline"}
    assert not any("__pycache__" in name for name in code)
    shipped = {name for name in code if "default_model" in name}
    assert shipped == {"model_build/default_model/detector.onnx"}, "training copies it"


@pytest.mark.usefixtures("_container")
def test_spare_capacity_and_time_limit(session: boto3.Session, archives: list[Path], tmp_path: Path) -> None:
    request = request_of(
        archives, tmp_path, spot=True, max_runtime_seconds=1200, instance_type="ml.m5.xlarge"
    )
    job = job_of(session, train(request, session=session))

    assert job["EnableManagedSpotTraining"] is True
    limits = job["StoppingCondition"]
    assert limits["MaxRuntimeInSeconds"] == 1200
    assert limits["MaxWaitTimeInSeconds"] >= 1200, "SageMaker refuses a shorter wait than run"
    assert job["ResourceConfig"]["InstanceType"] == "ml.m5.xlarge"


@pytest.mark.usefixtures("session", "_container")
def test_command_prints_the_model_and_its_metrics(
    archives: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train-cloud", "--role-arn", ROLE, "--bucket", BUCKET, "--classes", "red,blue"]
    command += ["--data", *map(str, archives), "--output", str(tmp_path / "out"), "--epochs", "2"]

    assert main([*command, "--json"]) == 0

    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["model_data_url"].startswith(f"s3://{BUCKET}/training/")
    assert answer["metrics"]["accuracy"] == 1.0


def test_classes_that_the_data_lacks_are_refused_before_anything_is_uploaded(
    session: boto3.Session, archives: list[Path], tmp_path: Path
) -> None:
    request = replace(request_of(archives, tmp_path), classes=("red", "tricycle"))
    with pytest.raises(RefusedError, match="tricycle"):
        train(request, session=session)

    assert "Contents" not in session.client("s3").list_objects_v2(Bucket=BUCKET)
