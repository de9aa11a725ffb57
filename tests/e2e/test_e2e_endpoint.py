"""What the workflow does when the endpoint does not work, or changes."""

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from localcloud.application import ENDPOINT_NAME, MODEL_BUCKET
from model_build.archive.trusted_code import TRUSTED_VARIABLE
from tests.support.local_cloud import LocalCloud, wait_until
from tests.support.sam_app import constant
from tests.support.tiny_model import COLOURS

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
CODE = """
def model_fn(model_dir): return None
def input_fn(body, content_type): return body
def predict_fn(data, model): {predict}
def output_fn(prediction, accept): return prediction
"""


def red() -> bytes:
    """Return a photo that the shipped test model accepts."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), COLOURS["red"]).save(file, "JPEG")
    return file.getvalue()


def serve(cloud: LocalCloud, name: str, predict: str) -> None:
    """Put a model with this predict_fn behind the application's endpoint."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        body = CODE.format(predict=predict).encode()
        info = tarfile.TarInfo("code/inference.py")
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
    cloud.client("s3").put_object(Bucket=MODEL_BUCKET, Key=f"{name}.tar.gz", Body=file.getvalue())
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn="arn:aws:iam::000000000000:role/test",
        PrimaryContainer={
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{MODEL_BUCKET}/{name}.tar.gz",
            "Environment": {TRUSTED_VARIABLE: hashlib.sha256(file.getvalue()).hexdigest()},
        },
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    switch(cloud, name)


def switch(cloud: LocalCloud, config: str) -> None:
    """Update the application's endpoint and wait until it serves."""
    sagemaker = cloud.client("sagemaker")
    sagemaker.update_endpoint(EndpointName=ENDPOINT_NAME, EndpointConfigName=config)
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=ENDPOINT_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert sagemaker.describe_endpoint(EndpointName=ENDPOINT_NAME)["EndpointConfigName"] == config


@pytest.fixture
def usual_model_afterwards(cloud: LocalCloud) -> Iterator[None]:
    sagemaker = cloud.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=ENDPOINT_NAME)["EndpointConfigName"]
    yield
    existing = {e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]}
    if ENDPOINT_NAME in existing:
        switch(cloud, before)
    else:
        sagemaker.create_endpoint(EndpointName=ENDPOINT_NAME, EndpointConfigName=before)
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=ENDPOINT_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )


@pytest.fixture
def short_patience(cloud: LocalCloud) -> Iterator[None]:
    """Make the deployed workflow give up after 5 s instead of 40 minutes."""
    workflow, arn = cloud.client("stepfunctions"), cloud.outputs["ClassifyImageStateMachineArn"]
    deployed = workflow.describe_state_machine(stateMachineArn=arn)["definition"]
    patience = constant("Workflow", "PatienceSeconds")
    assert deployed.count(f"1000 * {patience} ") == 1
    workflow.update_state_machine(
        stateMachineArn=arn, definition=deployed.replace(f"1000 * {patience} ", "1000 * 5 ")
    )
    yield
    workflow.update_state_machine(stateMachineArn=arn, definition=deployed)


@pytest.mark.usefixtures("usual_model_afterwards")
@pytest.mark.parametrize(
    ("name", "predict"),
    [
        ("three-classes", "return '[0.2, 0.3, 0.5]'"),
        ("not-json", "return '<html>busy</html>'"),
        ("too-sure", "return '[0.9, 0.9]'"),
    ],
)
def test_an_answer_that_violates_the_contract_ends_failed_at_once(
    cloud: LocalCloud, name: str, predict: str
) -> None:
    serve(cloud, name, predict)
    key = f"incoming/{name}.jpg"
    cloud.upload(key, red())

    (execution,) = cloud.executions(key)

    assert (execution["status"], execution["error"]) == ("FAILED", "EndpointContractViolation")
    (record,) = cloud.records(key)
    assert (record["outcome"], record["error"]) == ("FAILED", "EndpointContractViolation")


@pytest.mark.usefixtures("usual_model_afterwards")
def test_the_built_in_algorithms_answer_is_understood(cloud: LocalCloud) -> None:
    serve(cloud, "built-in", "return '[0.9510304927825928, 0.048969559371471405]'")
    cloud.upload("incoming/built-in.jpg", red())

    cloud.executions("incoming/built-in.jpg")

    (record,) = cloud.records("incoming/built-in.jpg")
    assert (record["outcome"], record["label"]) == ("ACCEPTED", "bicycle")
    assert record["confidence"] == pytest.approx(0.9510304927825928)


@pytest.mark.usefixtures("usual_model_afterwards", "short_patience")
def test_without_an_endpoint_a_photo_ends_failed_once_the_patience_is_over(cloud: LocalCloud) -> None:
    sagemaker = cloud.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName=ENDPOINT_NAME)
    sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName=ENDPOINT_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    key = "incoming/no-endpoint.jpg"
    cloud.upload(key, red())

    (execution,) = cloud.executions(key)

    assert execution["error"] == "EndpointUnavailable"
    (record,) = cloud.records(key)
    assert (record["outcome"], record["error"]) == ("FAILED", "EndpointUnavailable")
    entered = [name for way, name, _ in cloud.steps(execution["executionArn"]) if way == "in"]
    assert "FilterInference" not in entered


def test_what_the_endpoint_saw_is_captured(cloud: LocalCloud) -> None:
    key = "incoming/captured.jpg"
    cloud.upload(key, red())
    cloud.executions(key)

    # Other tests' photos are captured too: this one is red all over.
    wait_until(lambda: any(_is_red(exchange) for exchange in _captured(cloud)))
    seen = [exchange for exchange in _captured(cloud) if _is_red(exchange)]
    assert {one["endpointInput"]["observedContentType"] for one in seen} <= {"image/jpeg", "image/png"}
    assert json.loads(seen[-1]["endpointOutput"]["data"])[0] == pytest.approx(1, abs=0.2)


def test_the_shipped_code_runs_from_the_archive_alone(state: Path) -> None:
    """The emulator extracted the archive and runs the code in it, not the repository's."""
    versions = list((state / "sagemaker" / "versions").iterdir())
    assert len(versions) == 1, "an old version was left behind"
    assert (versions[0] / "model" / "code" / "inference.py").is_file()


def _captured(cloud: LocalCloud) -> list[dict[str, Any]]:
    """Return the captured requests and responses, each as SageMaker writes it."""
    s3 = cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=MODEL_BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    bodies = [
        s3.get_object(Bucket=MODEL_BUCKET, Key=key)["Body"].read().decode()
        for key in keys
        if f"{ENDPOINT_NAME}/AllTraffic/" in key
    ]
    return [json.loads(line)["captureData"] for body in bodies for line in body.splitlines()]


def _is_red(exchange: dict[str, Any]) -> bool:
    image = Image.open(io.BytesIO(base64.b64decode(exchange["endpointInput"]["data"]))).convert("RGB")
    red, green, blue = image.resize((1, 1)).tobytes()
    return red > COLOURS["red"][0] - 20 and max(green, blue) < COLOURS["red"][1] + 20
