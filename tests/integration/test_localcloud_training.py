"""Training jobs of the SageMaker emulator over boto3, with containers that are a shell script each."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.local_cloud import LocalCloud, bare_cloud, processes_about, wait_until

BUCKET = "training"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.13-cpu-amzn2023-sagemaker"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with bare_cloud(tmp_path_factory.mktemp("training")) as cloud:
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        for key, body in (("data/red/1.txt", b"one"), ("data/blue/2.txt", b"two"), ("database/3.txt", b"no")):
            s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        yield cloud


def start(cloud: LocalCloud, name: str, script: str, seconds: int = 60, data: str = "data") -> str:
    command = {"ContainerEntrypoint": ["/bin/sh"], "ContainerArguments": ["-ec", script]}
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{data}"}}
    cloud.client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File", **command},
        RoleArn="arn:aws:iam::000000000000:role/test",
        HyperParameters={"epochs": "3", "data": "/opt/ml/input/data/train"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": source}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": seconds},
    )
    return name


def job(cloud: LocalCloud, name: str) -> dict[str, Any]:
    return dict(cloud.client("sagemaker").describe_training_job(TrainingJobName=name))


def ended(cloud: LocalCloud, name: str) -> dict[str, Any]:
    wait_until(lambda: job(cloud, name)["TrainingJobStatus"] not in {"InProgress", "Stopping"})
    return job(cloud, name)


def test_a_job_reads_its_channel_and_leaves_a_model(cloud: LocalCloud) -> None:
    script = (
        "cd /opt/ml/input/data/train; find . -type f | sort > /opt/ml/model/seen;"
        "cp /opt/ml/input/config/hyperparameters.json /opt/ml/model; cat red/1.txt"
    )

    done = ended(cloud, start(cloud, "reads", script))

    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Completed", "Completed")
    url = done["ModelArtifacts"]["S3ModelArtifacts"]
    assert url == f"s3://{BUCKET}/out/reads/output/model.tar.gz"
    body = cloud.client("s3").get_object(Bucket=BUCKET, Key="out/reads/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as model:
        files = {name: (model.extractfile(name) or io.BytesIO()).read().decode() for name in model.getnames()}
    assert files["seen"].split() == ["./blue/2.txt", "./red/1.txt"]
    hyperparameters = json.loads(files["hyperparameters.json"])
    assert hyperparameters["epochs"] == "3"
    assert hyperparameters["data"].endswith("/input/data/train")
    assert done["TrainingEndTime"] >= done["TrainingStartTime"]
    assert [step["Status"] for step in done["SecondaryStatusTransitions"]] == [
        *("Starting", "Downloading", "Training", "Uploading", "Completed")
    ]
    events = cloud.client("logs").get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="reads/algo-1-1"
    )["events"]
    assert [event["message"] for event in events] == ["one"], "what the script wrote"


def test_a_script_that_fails_says_why_and_so_does_a_job_without_data(cloud: LocalCloud) -> None:
    script = "echo 'no images of tricycle' > /opt/ml/output/failure; exit 3"
    done = ended(cloud, start(cloud, "fails", script))
    assert done["TrainingJobStatus"] == "Failed"
    assert done["FailureReason"] == "AlgorithmError: no images of tricycle, exit code: 3"
    done = ended(cloud, start(cloud, "starves", "true", data="nothing-here"))
    assert done["TrainingJobStatus"] == "Failed"
    assert "nothing-here" in done["FailureReason"]
    failed = cloud.client("sagemaker").list_training_jobs(StatusEquals="Failed", MaxResults=100)
    names = {one["TrainingJobName"] for one in failed["TrainingJobSummaries"]}
    assert {"fails", "starves"} <= names
    assert "reads" not in names


@pytest.mark.parametrize(("seconds", "state"), [(600, "Stopped"), (1, "MaxRuntimeExceeded")])
def test_a_job_ends_when_it_is_told_or_when_its_time_is_up(
    cloud: LocalCloud, seconds: int, state: str
) -> None:
    name = start(cloud, f"ends-{state}", f"sleep 4{seconds:04}", seconds=seconds)
    if state == "Stopped":
        wait_until(lambda: job(cloud, name)["SecondaryStatus"] == "Training")
        cloud.client("sagemaker").stop_training_job(TrainingJobName=name)
    done = ended(cloud, name)
    assert (done["TrainingJobStatus"], done["SecondaryStatus"]) == ("Stopped", state)
    wait_until(lambda: not processes_about(Path(f"sleep 4{seconds:04}")), seconds=5)


def test_refusals(cloud: LocalCloud) -> None:
    name = start(cloud, "once", "true")
    sagemaker = cloud.client("sagemaker")
    ended(cloud, name)
    with pytest.raises(ClientError, match="already existing training job"):
        start(cloud, "once", "true")
    with pytest.raises(ClientError, match="Could not find training job"):
        job(cloud, "never")
    with pytest.raises(ClientError, match="in status Completed"):
        sagemaker.stop_training_job(TrainingJobName=name)
