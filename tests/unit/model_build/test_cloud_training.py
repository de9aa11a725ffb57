"""Training jobs: what is refused before anything is uploaded, what a job gets, and how it is waited for."""

import io
import os
import subprocess
import sys
import tarfile
from itertools import chain, repeat
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import NoRegionError
from PIL import Image

from commandline.errors import CommandError
from commandline.polling import Rhythm
from model_build import cloud_training
from model_build.cloud_training import (
    TRAINING_LOG_GROUP,
    TrainRequest,
    copy_source,
    tar_of_class,
    train,
    upload_by_class,
    wait_for_job,
)
from model_build.data.cifar import load_archive
from model_build.endpoint.aws import find_log_group
from model_build.errors import CloudError
from model_build.training.images import read_images
from model_build.training.recipe import Recipe
from tests.support.tiny_model import cifar10_files, cifar100_files, write_archive

ROLE = "arn:aws:iam::123456789012:role/scones-model"


def request(**changes: Any) -> TrainRequest:
    values: dict[str, Any] = {"data": [Path("c.tar.gz")], "role_arn": ROLE, "bucket": "scones-models"}
    values |= {"classes": ("bicycle", "motorcycle"), "recipe": Recipe(), "instance_type": "ml.c5.xlarge"}
    values |= {"max_runtime_seconds": 3600, "output": Path("build/sagemaker-model")}
    return TrainRequest(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bucket": "ab"}, "--bucket 'ab'"),
        ({"image": "pytorch"}, "--image 'pytorch': give a whole image URI"),
        ({"role_arn": "scones-model"}, "--role-arn 'scones-model' is not a role's ARN"),
        ({"instance_type": "c5.xlarge"}, "--instance-type 'c5.xlarge'"),
        ({"classes": ("bicycle",)}, "--classes bicycle: give two or more"),
    ],
)
def test_what_aws_refuses_is_refused_with_the_option(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CommandError, match=message) as refused:
        request(**changes)
    assert refused.value.exit_code == 2


def test_only_what_differs_from_the_defaults_becomes_a_hyperparameter() -> None:
    own = request(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/training:1", bucket="abc")
    assert own.hyperparameters() == request().hyperparameters() == {"classes": "bicycle,motorcycle"}
    changed = request(classes=("red", "blue"), recipe=Recipe(epochs=80, bfloat16=False, learning_rate=1e-4))
    assert changed.hyperparameters() == {
        "classes": "red,blue",
        "epochs": "80",
        "bfloat16": "false",
        "learning_rate": "0.0001",
    }


def images_in(tar: bytes) -> list[Image.Image]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return [Image.open(io.BytesIO(opened.extractfile(member).read())) for member in opened]  # type: ignore[union-attr]


def test_images_keep_what_they_were(tmp_path: Path) -> None:
    clean = load_archive(
        write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=2, test=1))
    )
    lossy = load_archive(write_archive(tmp_path / "b.tar.gz", cifar10_files(["white"], train=1, test=1)))
    for archive, kind in ((clean, "PNG"), (lossy, "JPEG")):
        index = archive.classes.index(archive.present[0])
        images = images_in(tar_of_class(archive, index))
        assert {(image.format, image.size) for image in images} == {(kind, (32, 32))}
        assert tar_of_class(archive, index) == tar_of_class(archive, index)
        if kind == "PNG":
            assert [one.tobytes() for one in images] == [one.tobytes() for one in archive.train.of(index)]


def test_every_class_of_every_archive_is_one_object_that_training_reads(
    tmp_path: Path, session: boto3.Session
) -> None:
    archives = [
        load_archive(write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], train=2, test=1))),
        load_archive(write_archive(tmp_path / "b.tar.gz", cifar10_files(["red", "white"], train=1, test=1))),
    ]
    s3 = session.client("s3")
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert upload_by_class(archives, "bucket", "training/data/1", session) == "s3://bucket/training/data/1"
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket="bucket")["Contents"]]
    assert keys == [f"training/data/1/{name}.tar" for name in ("blue/0", "red/0", "red/1", "white/1")]
    for key in keys:
        path = tmp_path / "channel" / key.removeprefix("training/data/1/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file("bucket", key, str(path))
    direct = read_images([archive.path for archive in archives])
    uploaded = read_images([tmp_path / "channel"])
    assert uploaded.counts() == direct.counts()
    assert [group.compressed for group in uploaded.by_class["red"]] == [False, True]


def test_the_source_is_complete_and_nothing_else(tmp_path: Path) -> None:
    copy_source(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"commandline", "model_build"}
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert {"model_build/train.py", "model_build/training_requirements.txt"} <= names
    assert not any("__pycache__" in name for name in names)
    assert {name for name in names if "default_model/" in name} == {"model_build/default_model/detector.onnx"}
    shown = subprocess.run(
        [sys.executable, "-c", "import model_build.train as t; print(t.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith(str(tmp_path))


RUNNING = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}


def wait(*descriptions: dict[str, Any]) -> dict[str, Any]:
    """Wait for a job that goes through these descriptions, and has no log."""
    client = Mock(**{"describe_log_streams.return_value": {"logStreams": []}})
    client.describe_training_job.side_effect = chain(descriptions, repeat(descriptions[-1]))
    return wait_for_job(Mock(client=lambda _: client), "job", 3600, Rhythm(sleep=lambda _: None))


def test_waits_until_the_job_has_completed() -> None:
    done = {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}
    assert wait(RUNNING, RUNNING, done) == done


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"TrainingJobStatus": "Failed", "FailureReason": "Error: x"}, "is Failed: Error: x"),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}, "is Stopped: MaxRuntime"),
        ({"TrainingJobStatus": "Failed"}, "SageMaker gave no reason"),
    ],
)
def test_a_job_that_did_not_complete_is_an_error_with_its_reason(
    description: dict[str, str], message: str
) -> None:
    with pytest.raises(CloudError, match=message):
        wait(RUNNING, description)


def test_a_job_that_does_not_end_is_given_up() -> None:
    with pytest.raises(CloudError, match="training job job has not ended after"):
        wait(RUNNING)


def test_without_a_region_nothing_is_read_or_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoRegionError):
        train(request(), session=boto3.Session("test", "test"))


def test_the_log_group_of_a_job_expires(
    session: boto3.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sagemaker", "sagemaker.train"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(cloud_training, "upload_by_class", lambda *_: "s3://scones-models/training/data")
    monkeypatch.setattr(cloud_training, "start", lambda *_, **__: "no-such-job")
    data = write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], 1, 1))
    with pytest.raises(CloudError, match=r"training on SageMaker failed: .*no-such-job"):
        train(request(data=[data], classes=("red", "blue")), session=session)
    assert (find_log_group(session, TRAINING_LOG_GROUP) or {})["retentionInDays"] == 30
