"""The SageMaker emulator over boto3, with models that are code alone."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
ON_INSTANCE = {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 2}}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with bare_cloud(tmp_path_factory.mktemp("sagemaker")) as cloud:
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        yield cloud


def archive(files: dict[str, str]) -> bytes:
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


def make_config(cloud: LocalCloud, name: str, packed: bytes, size: Any = None, **settings: Any) -> None:
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
    variant = {"VariantName": "AllTraffic", "ModelName": name, **(size or ON_INSTANCE)}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **settings)


def settled(cloud: LocalCloud, endpoint: str) -> dict[str, Any]:
    """DescribeEndpoint, once it changes no more."""
    sagemaker = cloud.client("sagemaker")
    moving = {"Creating", "Updating", "RollingBack"}
    wait_until(lambda: sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] not in moving)
    return dict(sagemaker.describe_endpoint(EndpointName=endpoint))


def deploy(cloud: LocalCloud, name: str, packed: bytes, size: Any = None) -> dict[str, Any]:
    """Create an endpoint named like its configuration."""
    make_config(cloud, name, packed, size)
    cloud.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
    return settled(cloud, name)


def wait_until_deleted(cloud: LocalCloud, endpoint: str) -> None:
    waiter = cloud.client("sagemaker").get_waiter("endpoint_deleted")
    waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 20})


def logged(cloud: LocalCloud, endpoint: str) -> str:
    """Return what an endpoint's containers wrote to CloudWatch Logs."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    events = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    return "\n".join(event["message"] for event in events)


def ask(cloud: LocalCloud, endpoint: str, body: bytes = b"photo") -> list[float]:
    runtime = cloud.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=endpoint, Body=body, ContentType="image/jpeg")
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    return list(json.loads(answer["Body"].read()))


def refusal(call: Any, **arguments: Any) -> Any:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response


def test_an_endpoint_goes_from_creating_to_in_service_and_answers(cloud: LocalCloud, tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
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


def test_errors_of_the_model_arrive_as_model_errors_and_a_killed_one_starts_again(cloud: LocalCloud) -> None:
    deploy(cloud, "errors", code())
    invoke = cloud.client("sagemaker-runtime").invoke_endpoint

    died = refusal(invoke, EndpointName="errors", Body=b"die", ContentType="image/png")
    clients = refusal(invoke, EndpointName="errors", Body=b"x", ContentType="text/plain")
    servers = refusal(invoke, EndpointName="errors", Body=b"break", ContentType="image/png")

    assert died["OriginalStatusCode"] == 500
    for answer, status, text in ((clients, 415, "text is no image"), (servers, 500, "out of order")):
        assert answer["Error"]["Code"] == "ModelError"
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
        assert answer["OriginalStatusCode"] == status
        assert text in answer["OriginalMessage"]
    assert "Received client error (415) from primary" in clients["Error"]["Message"]
    assert "Received server error (500) from primary" in servers["Error"]["Message"]
    assert ask(cloud, "errors") == [0.75, 0.25]
    assert "out of order" in logged(cloud, "errors")
    assert "started again" in logged(cloud, "errors")


@pytest.mark.parametrize(
    ("name", "limit", "size"),
    [("big-realtime", 6_291_456, ON_INSTANCE), ("big-serverless", 4_194_304, SERVERLESS)],
)
def test_a_body_may_be_as_large_as_the_limit(cloud: LocalCloud, name: str, limit: int, size: Any) -> None:
    deploy(cloud, name, code(), size=size)
    assert ask(cloud, name, b"x" * limit) == [0.75, 0.25]
    invoke = cloud.client("sagemaker-runtime").invoke_endpoint
    answer = refusal(invoke, EndpointName=name, Body=b"x" * (limit + 1), ContentType="image/png")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 413


def test_an_update_switches_and_the_request_in_flight_gets_its_answer(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    deploy(cloud, "update", code(0.75, slow=gate.code))
    make_config(cloud, "update-b", code(0.25))
    sagemaker = cloud.client("sagemaker")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(ask, cloud, "update", b"slow")
        wait_until(gate.reached)

        sagemaker.update_endpoint(EndpointName="update", EndpointConfigName="update-b")

        assert sagemaker.describe_endpoint(EndpointName="update")["EndpointStatus"] == "Updating"
        assert ask(cloud, "update") in ([0.75, 0.25], [0.25, 0.75])
        described = settled(cloud, "update")
        assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "update-b")
        assert ask(cloud, "update") == [0.25, 0.75]
        assert not slow.done(), "the old version answers the request that it has begun"
        gate.open()
    assert slow.result() == [0.75, 0.25]
    wait_until(lambda: len([line for line in processes_about(cloud.folder) if "update-" in line]) <= 1)


NO_PING = "did not pass the ping health check"
NO_ARCHIVE = "Failed to extract model data archive"
HOSTILE = archive({"../../outside.py": "pass", "code/inference.py": CODE})
BROKEN = code(load="raise ValueError('weights of another version')")


@pytest.mark.parametrize(
    ("name", "packed", "reason", "cause"),
    [
        ("no-code", archive({"model.onnx": "x"}), NO_PING, "No module named 'inference'"),
        ("no-handlers", archive({"code/inference.py": "x = 1"}), NO_PING, "model_fn"),
        ("broken", BROKEN, NO_PING, "weights of another version"),
        ("no-archive", b"not a tar.gz", NO_ARCHIVE, "Not a gzipped file"),
        ("hostile", HOSTILE, NO_ARCHIVE, "leads outside the archive"),
    ],
)
def test_a_version_that_does_not_start_never_takes_traffic_and_logs_why(
    cloud: LocalCloud, name: str, packed: bytes, reason: str, cause: str
) -> None:
    """SageMaker's own words say only that the archive or the health check failed."""
    endpoint = f"rollback-{name}"
    deploy(cloud, endpoint, code(0.75))
    make_config(cloud, name, packed)
    cloud.client("sagemaker").update_endpoint(EndpointName=endpoint, EndpointConfigName=name)
    described = settled(cloud, endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", endpoint)
    assert reason in described["FailureReason"]
    assert cause in logged(cloud, endpoint)
    assert ask(cloud, endpoint) == [0.75, 0.25]
    assert not list(cloud.folder.rglob("outside.py"))


def test_a_new_endpoint_that_does_not_start_fails_and_logs_why(cloud: LocalCloud) -> None:
    described = deploy(cloud, "failed", archive({"README": "no code"}))
    assert described["EndpointStatus"] == "Failed"
    assert NO_PING in described["FailureReason"]
    assert "No module named 'inference'" in logged(cloud, "failed")
    sagemaker = cloud.client("sagemaker")
    again = refusal(sagemaker.update_endpoint, EndpointName="failed", EndpointConfigName="failed")
    assert "DeleteEndpoint is the only operation" in again["Error"]["Message"]
    sagemaker.delete_endpoint(EndpointName="failed")
    wait_until_deleted(cloud, "failed")


def test_what_sagemaker_refuses_is_refused(cloud: LocalCloud) -> None:
    sagemaker = cloud.client("sagemaker")
    deploy(cloud, "taken", code())
    model = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/taken.tar.gz"}
    variant = {"VariantName": "A", "ModelName": "taken"}
    instance, serverless = variant | ON_INSTANCE, variant | SERVERLESS
    make_config(cloud, "on-demand", code(), SERVERLESS)
    update = sagemaker.update_endpoint
    options = {"InitialSamplingPercentage": 100, "CaptureOptions": [{"CaptureMode": "Input"}]}
    capture = {"EnableCapture": True, "DestinationS3Uri": f"s3://{BUCKET}/capture", **options}

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
        "to serverless": refusal(update, EndpointName="taken", EndpointConfigName="on-demand"),
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
    assert "serverless" in messages["to serverless"]
    assert ask(cloud, "taken") == [0.75, 0.25]
    names = [endpoint["EndpointName"] for endpoint in sagemaker.list_endpoints()["Endpoints"]]
    assert "x" not in names


def test_deleting_waits_for_the_request_in_flight_and_ends_the_process(
    cloud: LocalCloud, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    deploy(cloud, "deleted", code(slow=gate.code))
    sagemaker = cloud.client("sagemaker")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(ask, cloud, "deleted", b"slow")
        wait_until(gate.reached)

        sagemaker.delete_endpoint(EndpointName="deleted")
        assert sagemaker.describe_endpoint(EndpointName="deleted")["EndpointStatus"] == "Deleting"
        gate.open()
        wait_until_deleted(cloud, "deleted")

    assert slow.result() == [0.75, 0.25]
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
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["n"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "fleet"}]
    assert sagemaker.describe_model(ModelName="listed-0")["PrimaryContainer"]["Image"] == IMAGE
    sagemaker.delete_endpoint_config(EndpointConfigName="listed-1")
    sagemaker.delete_model(ModelName="listed-1")
    assert "Could not find" in refusal(sagemaker.list_tags, ResourceArn=arn)["Error"]["Message"]
    assert "Could not find" in refusal(sagemaker.delete_model, ModelName="listed-1")["Error"]["Message"]


def test_auto_scaling_remembers_target_and_policy(cloud: LocalCloud) -> None:
    deploy(cloud, "scaled", code())
    scaling = cloud.client("application-autoscaling")
    place = {"ServiceNamespace": "sagemaker", "ScalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    variant = {**place, "ResourceId": "endpoint/scaled/variant/AllTraffic"}
    tracking = {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0}}
    policy = {"PolicyName": "keep-up", "PolicyType": "TargetTrackingScaling", **tracking}
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
    nobody = {**place, "ResourceId": "endpoint/nobody/variant/AllTraffic"}
    missing = refusal(scaling.register_scalable_target, **nobody, MinCapacity=1, MaxCapacity=2)
    assert missing["Error"]["Code"] == "ValidationException"
