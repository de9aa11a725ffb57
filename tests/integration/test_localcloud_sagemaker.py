"""The SageMaker emulator over boto3, with models that are code alone."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from model_build.archive.trusted_code import TRUSTED_VARIABLE
from tests.support.gate import Gate
from tests.support.local_cloud import LocalCloud, bare_cloud, processes_about, wait_until

IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:2.6.0-cpu-py312"
ROLE = "arn:aws:iam::000000000000:role/test"
BUCKET = "models"
CODE = """
import json, os

class BadRequest(ValueError):
    status_code = 415

def model_fn(model_dir):
    {load}
    return {probability}

def input_fn(body, content_type):
    if content_type == "text/plain":
        raise BadRequest("text is no image")
    return body

def predict_fn(data, model):
    if data == b"break":
        raise RuntimeError("out of order")
    if data == b"die":
        os._exit(1)
    if data == b"slow":
        {slow}
    return [model, 1 - model]

def output_fn(prediction, accept):
    return json.dumps(prediction)
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with bare_cloud(tmp_path_factory.mktemp("sagemaker")) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def archive(files: dict[str, str]) -> bytes:
    """Return a tar.gz of text files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def code(probability: float = 0.75, load: str = "pass", slow: str = "pass") -> bytes:
    """Return an archive with an inference.py that answers one probability.

    It runs `load` before it serves, and `slow` before it answers the body `slow`.
    """
    return archive({"code/inference.py": CODE.format(probability=probability, load=load, slow=slow)})


def make_config(cloud: LocalCloud, name: str, packed: bytes, **settings: Any) -> str:
    """Upload an archive; make model and endpoint configuration of it."""
    cloud.client("s3").put_object(Bucket=BUCKET, Key=f"{name}.tar.gz", Body=packed)
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/{name}.tar.gz",
            "Environment": {TRUSTED_VARIABLE: hashlib.sha256(packed).hexdigest()},
        },
    )
    size = settings.pop("size", {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1})
    variant = {"VariantName": "AllTraffic", "ModelName": name, **size}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **settings)
    return name


def settled(cloud: LocalCloud, endpoint: str) -> dict[str, Any]:
    """DescribeEndpoint, once it changes no more."""
    sagemaker = cloud.client("sagemaker")
    moving = {"Creating", "Updating", "RollingBack"}
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] not in moving)
    return dict(sagemaker.describe_endpoint(EndpointName=endpoint))


def deploy(cloud: LocalCloud, name: str, packed: bytes, **settings: Any) -> dict[str, Any]:
    """Create an endpoint named like its configuration."""
    make_config(cloud, name, packed, **settings)
    cloud.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settled(cloud, name)


def ask(cloud: LocalCloud, endpoint: str, body: bytes = b"photo", kind: str = "image/jpeg") -> list[float]:
    """One invocation."""
    runtime = cloud.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType=kind)
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    return list(json.loads(answer["Body"].read()))


def refusal(call: Any, **arguments: Any) -> Any:
    """Return the error that a call ends with."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def test_an_endpoint_goes_from_creating_to_in_service_and_answers(cloud: LocalCloud, gate: Gate) -> None:
    make_config(cloud, "first", code(0.75, load=gate.code))
    sagemaker = cloud.client("sagemaker")

    arn = sagemaker.create_endpoint(EndpointName="first", EndpointConfigName="first")["EndpointArn"]

    creating = sagemaker.describe_endpoint(EndpointName="first")
    assert creating["EndpointStatus"] == "Creating"
    early = refusal(cloud.client("sagemaker-runtime").invoke_endpoint, EndpointName="first", Body=b"x")
    assert early["Error"]["Code"] == "ValidationError"
    gate.open()
    described = settled(cloud, "first")
    assert (described["EndpointStatus"], described["EndpointArn"]) == ("InService", arn)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert ask(cloud, "first") == [0.75, 0.25]


def test_errors_of_the_model_arrive_as_model_errors(cloud: LocalCloud) -> None:
    deploy(cloud, "errors", code())
    invoke = cloud.client("sagemaker-runtime").invoke_endpoint

    clients = refusal(invoke, EndpointName="errors", Body=b"x", ContentType="text/plain")
    servers = refusal(invoke, EndpointName="errors", Body=b"break", ContentType="image/png")

    for answer, status, text in ((clients, 415, "text is no image"), (servers, 500, "out of order")):
        assert answer["Error"]["Code"] == "ModelError"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert answer["OriginalStatusCode"] == status
        assert text in answer["OriginalMessage"]
    assert "Received client error (415) from primary" in clients["Error"]["Message"]
    assert "Received server error (500) from primary" in servers["Error"]["Message"]
    logged = cloud.client("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/errors")["events"]
    assert any("out of order" in event["message"] for event in logged)


def test_a_container_that_was_killed_is_started_again(cloud: LocalCloud) -> None:
    deploy(cloud, "killed", code())
    invoke = cloud.client("sagemaker-runtime").invoke_endpoint
    died = refusal(invoke, EndpointName="killed", Body=b"die", ContentType="image/png")

    assert died["OriginalStatusCode"] == 500
    assert ask(cloud, "killed") == [0.75, 0.25]
    refusal(invoke, EndpointName="killed", Body=b"break", ContentType="image/png")  # errors ship the log
    logged = cloud.client("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/killed")["events"]
    assert any("started again" in event["message"] for event in logged)


@pytest.mark.parametrize(
    ("name", "limit", "size"),
    [
        ("big-realtime", 6_291_456, {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}),
        ("big-serverless", 4_194_304, {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}),
    ],
)
def test_a_body_may_be_as_large_as_the_limit(
    cloud: LocalCloud, name: str, limit: int, size: dict[str, Any]
) -> None:
    deploy(cloud, name, code(), size=size)
    assert ask(cloud, name, b"x" * limit) == [0.75, 0.25]
    invoke = cloud.client("sagemaker-runtime").invoke_endpoint
    answer = refusal(invoke, EndpointName=name, Body=b"x" * (limit + 1), ContentType="image/png")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_update_loses_no_request_and_switches(cloud: LocalCloud, gate: Gate, tmp_path: Path) -> None:
    asked = Gate(tmp_path / "asked")
    deploy(cloud, "update", code(0.75, slow=asked.code))
    make_config(cloud, "update-b", code(0.25, load=gate.code))
    answers: list[list[float]] = []
    errors: list[Exception] = []
    stop = threading.Event()

    def stream() -> None:
        while not stop.is_set():
            try:
                answers.append(ask(cloud, "update"))
            except Exception as error:  # noqa: BLE001  # any error at all fails the test
                errors.append(error)

    cloud.client("sagemaker-runtime")
    slow = threading.Thread(target=lambda: answers.append(ask(cloud, "update", b"slow")), daemon=True)
    threads = [threading.Thread(target=stream, daemon=True) for _ in range(2)]
    for thread in (slow, *threads):
        thread.start()
    sagemaker = cloud.client("sagemaker")
    sagemaker.update_endpoint(EndpointName="update", EndpointConfigName="update-b")
    assert sagemaker.describe_endpoint(EndpointName="update")["EndpointStatus"] == "Updating"
    try:
        wait_until(lambda: answers and asked.reached())
        gate.open()
        described = settled(cloud, "update")
        wait_until(lambda: answers[-1] == [0.25, 0.75], seconds=20)
        assert slow.is_alive(), "the old version answers the request that it has begun"
    finally:
        stop.set()
        asked.open()
    for thread in (slow, *threads):
        thread.join()

    assert errors == []
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "update-b")
    assert {tuple(answer) for answer in answers} == {(0.75, 0.25), (0.25, 0.75)}
    assert ask(cloud, "update") == [0.25, 0.75]
    wait_until(lambda: len([line for line in processes_about(cloud.folder) if "update-" in line]) <= 1)


@pytest.mark.parametrize(
    ("name", "packed", "reason"),
    [
        ("no-code", archive({"model.onnx": "x"}), "did not pass the ping health check"),
        ("no-handlers", archive({"code/inference.py": "x = 1"}), "did not pass the ping health check"),
        ("broken", code(load="raise ValueError('bad weights')"), "did not pass the ping health check"),
        ("no-archive", b"not a tar.gz", "Failed to extract model data archive"),
    ],
)
def test_a_version_that_does_not_start_never_takes_traffic(
    cloud: LocalCloud, name: str, packed: bytes, reason: str
) -> None:
    endpoint = f"rollback-{name}"
    deploy(cloud, endpoint, code(0.75))
    make_config(cloud, name, packed)

    cloud.client("sagemaker").update_endpoint(EndpointName=endpoint, EndpointConfigName=name)

    described = settled(cloud, endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", endpoint)
    assert reason in described["FailureReason"]
    assert ask(cloud, endpoint) == [0.75, 0.25]


def test_a_new_endpoint_that_does_not_start_fails_and_logs_why(cloud: LocalCloud) -> None:
    described = deploy(cloud, "failed", archive({"README": "no code"}))

    assert described["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in described["FailureReason"]
    logged = cloud.client("logs").filter_log_events(logGroupName="/aws/sagemaker/Endpoints/failed")["events"]
    assert any("No module named 'inference'" in event["message"] for event in logged)
    sagemaker = cloud.client("sagemaker")
    again = refusal(sagemaker.update_endpoint, EndpointName="failed", EndpointConfigName="failed")
    assert "DeleteEndpoint is the only operation" in again["Error"]["Message"]
    sagemaker.delete_endpoint(EndpointName="failed")
    sagemaker.get_waiter("endpoint_deleted").wait(
        EndpointName="failed", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )


def test_what_sagemaker_refuses_is_refused(cloud: LocalCloud) -> None:
    sagemaker = cloud.client("sagemaker")
    deploy(cloud, "taken", code())
    model = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/taken.tar.gz"}
    variant = {"VariantName": "A", "ModelName": "taken"}
    instance = variant | {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    serverless = variant | {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }

    def create(endpoint: str, config: str) -> Any:
        return refusal(sagemaker.create_endpoint, EndpointName=endpoint, EndpointConfigName=config)

    def make(name: str, **changes: str) -> Any:
        container = {"PrimaryContainer": {**model, **changes}}
        return refusal(sagemaker.create_model, ModelName=name, ExecutionRoleArn=ROLE, **container)

    def configure(name: str, variant: dict[str, Any], **more: Any) -> Any:
        call = sagemaker.create_endpoint_config
        return refusal(call, EndpointConfigName=name, ProductionVariants=[variant], **more)

    odd = {"ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}}
    found = {
        "no such endpoint": refusal(sagemaker.describe_endpoint, EndpointName="nobody"),
        "no such config": create("x", "nobody"),
        "endpoint taken": create("taken", "taken"),
        "model taken": make("taken"),
        "config taken": configure("taken", instance),
        "no model data": make("x", ModelDataUrl=f"s3://{BUCKET}/nothing.tar.gz"),
        "no such model": configure("x", instance | {"ModelName": "nobody"}),
        "both sizes": configure("x", instance | serverless),
        "odd memory": configure("x", variant | odd),
        "serverless capture": configure("x", serverless, DataCaptureConfig=capture),
        "bad name": create("a_b", "taken"),
    }
    assert {answer["Error"]["Code"] for answer in found.values()} == {"ValidationException"}
    messages = {what: answer["Error"]["Message"] for what, answer in found.items()}
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    assert messages["no such endpoint"] == f'Could not find endpoint "{arn}:endpoint/nobody".'
    assert messages["endpoint taken"] == f'Cannot create already existing endpoint "{arn}:endpoint/taken".'
    assert messages["model taken"] == f'Cannot create already existing model "{arn}:model/taken".'
    assert "Cannot create already existing endpoint configuration" in messages["config taken"]
    assert "Could not find model data at" in messages["no model data"]
    assert "regular expression pattern" in messages["bad name"]
    names = [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]]
    assert "x" not in names


def test_an_endpoint_on_instances_does_not_become_serverless(cloud: LocalCloud) -> None:
    deploy(cloud, "instances", code())
    size = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    make_config(cloud, "on-demand", code(), size=size)
    update = cloud.client("sagemaker").update_endpoint
    answer = refusal(update, EndpointName="instances", EndpointConfigName="on-demand")
    assert "serverless" in answer["Error"]["Message"]
    assert ask(cloud, "instances") == [0.75, 0.25]


def test_a_sampling_percentage_of_zero_captures_nothing(cloud: LocalCloud) -> None:
    capture = {
        "InitialSamplingPercentage": 0,
        "DestinationS3Uri": f"s3://{BUCKET}/none",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    deploy(cloud, "unsampled", code(), DataCaptureConfig=capture)
    for _ in range(5):
        ask(cloud, "unsampled")
    _delete(cloud, "unsampled")  # which writes what is left
    assert "Contents" not in cloud.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="none/")


def test_deleting_waits_for_the_request_in_flight_and_ends_the_process(cloud: LocalCloud, gate: Gate) -> None:
    deploy(cloud, "deleted", code(slow=gate.code))
    answers: list[list[float]] = []
    cloud.client("sagemaker-runtime")
    slow = threading.Thread(target=lambda: answers.append(ask(cloud, "deleted", b"slow")))
    slow.start()
    wait_until(gate.reached)

    cloud.client("sagemaker").delete_endpoint(EndpointName="deleted")
    assert cloud.client("sagemaker").describe_endpoint(EndpointName="deleted")["EndpointStatus"] == "Deleting"
    gate.open()
    _wait_until_deleted(cloud, "deleted")

    slow.join()
    assert answers == [[0.75, 0.25]]
    assert [line for line in processes_about(cloud.folder) if "deleted-" in line] == []
    gone = refusal(cloud.client("sagemaker-runtime").invoke_endpoint, EndpointName="deleted", Body=b"x")
    assert gone["Error"]["Message"] == "Endpoint deleted of account 000000000000 not found."


def test_lists_tags_and_pages(cloud: LocalCloud) -> None:
    sagemaker = cloud.client("sagemaker")
    for number in range(3):
        make_config(cloud, f"listed-{number}", code(), Tags=[{"Key": "n", "Value": str(number)}])
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(
        NameContains="LISTED", SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    found = [config for page in pages for config in page["EndpointConfigs"]]
    assert [config["EndpointConfigName"] for config in found] == ["listed-0", "listed-1", "listed-2"]

    arn = found[1]["EndpointConfigArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "fleet"}])
    tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
    assert tags == {"n": "1", "team": "fleet"}
    assert sagemaker.describe_model(ModelName="listed-0")["PrimaryContainer"]["Image"] == IMAGE
    sagemaker.delete_endpoint_config(EndpointConfigName="listed-1")
    sagemaker.delete_model(ModelName="listed-1")
    assert "Could not find" in refusal(sagemaker.list_tags, ResourceArn=arn)["Error"]["Message"]
    assert "Could not find" in refusal(sagemaker.delete_model, ModelName="listed-1")["Error"]["Message"]


def test_auto_scaling_remembers_target_and_policy(cloud: LocalCloud) -> None:
    deploy(cloud, "scaled", code())
    scaling = cloud.client("application-autoscaling")
    variant = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/scaled/variant/AllTraffic",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    policy = {
        "PolicyName": "keep-up",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0},
    }
    early = refusal(scaling.put_scaling_policy, **variant, **policy)
    assert early["Error"]["Code"] == "ObjectNotFoundException"
    scaling.register_scalable_target(**variant, MinCapacity=1, MaxCapacity=4)
    scaling.put_scaling_policy(**variant, **policy)

    (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    (kept,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 4)
    assert kept["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 70

    scaling.deregister_scalable_target(**variant)
    assert scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"] == []
    nobody = variant | {"ResourceId": "endpoint/nobody/variant/AllTraffic"}
    missing = refusal(scaling.register_scalable_target, **nobody, MinCapacity=1, MaxCapacity=2)
    assert missing["Error"]["Code"] == "ValidationException"


def _delete(cloud: LocalCloud, endpoint: str) -> None:
    cloud.client("sagemaker").delete_endpoint(EndpointName=endpoint)
    _wait_until_deleted(cloud, endpoint)


def _wait_until_deleted(cloud: LocalCloud, endpoint: str) -> None:
    waiter = cloud.client("sagemaker").get_waiter("endpoint_deleted")
    waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 20})


@pytest.mark.parametrize(
    ("name", "packed", "cause"),
    [
        ("not-an-archive", b"text", "Not a gzipped file"),
        (
            "hostile",
            archive({"../../outside.py": "pass", "code/inference.py": CODE}),
            "leads outside the archive",
        ),
        (
            "other-version",
            code(load="raise RuntimeError('weights of another version')"),
            "weights of another version",
        ),
    ],
)
def test_the_cause_of_a_failed_start_is_in_the_containers_log(
    cloud: LocalCloud, name: str, packed: bytes, cause: str
) -> None:
    """SageMaker's own words say only that the archive or the health check failed."""
    assert deploy(cloud, name, packed)["EndpointStatus"] == "Failed"
    group = f"/aws/sagemaker/Endpoints/{name}"
    logged = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    assert any(cause in event["message"] for event in logged), logged
    assert not list(cloud.folder.rglob("outside.py"))
