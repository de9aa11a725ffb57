"""Starting and waiting for a training job."""

import sys
from itertools import chain, repeat
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from commandline.polling import Rhythm
from model_build import cloud_training
from model_build.cloud_training import TRAINING_LOG_GROUP, TrainRequest, train, wait_for_job
from model_build.endpoint.aws import find_log_group
from model_build.errors import CloudError
from tests.support.tiny_model import cifar100_files, write_archive

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


def test_the_log_group_of_a_job_expires(
    session: boto3.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sagemaker", "sagemaker.train"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(cloud_training, "upload_by_class", lambda *_: "s3://scones-models/training/data")
    monkeypatch.setattr(cloud_training, "start", lambda *_, **__: "no-such-job")
    data = write_archive(tmp_path / "a.tar.gz", cifar100_files(["red", "blue"], 1, 1))
    request = TrainRequest([data], "arn:aws:iam::123456789012:role/x", "scones-models", ("red", "blue"))
    with pytest.raises(CloudError, match=r"training on SageMaker failed: .*no-such-job"):
        train(request, session=session)
    assert (find_log_group(session, TRAINING_LOG_GROUP) or {})["retentionInDays"] == 30
