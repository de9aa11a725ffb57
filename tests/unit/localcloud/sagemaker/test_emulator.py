"""The emulator's pure parts: refused requests, what data capture writes, serverless endpoints."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from localcloud.sagemaker import capture, container
from localcloud.sagemaker.capture import Capture, Exchange, record
from localcloud.sagemaker.container import COLD_START_VARIABLE, Capacity
from localcloud.sagemaker.control_plane import ControlPlane
from localcloud.sagemaker.resources import ApiError
from localcloud.sagemaker.validation import check_request, compile_pattern, service_model

NOON = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
BOTH = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]


def refusal(operation: str, params: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        check_request("sagemaker", operation, params)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_a_good_request_passes_and_a_missing_member_is_refused_in_awss_words() -> None:
    check_request("sagemaker", "CreateEndpoint", {"EndpointName": "e-1", "EndpointConfigName": "c"})
    assert refusal("CreateEndpoint", {"EndpointName": "e"}) == (
        "1 validation error detected: Value null at 'endpointConfigName' failed to satisfy constraint: "
        "Member must not be null"
    )


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ({"InstanceType": "ml.huge"}, "Member must satisfy enum value set"),
        ({"InitialInstanceCount": 0}, "Member must have value greater than or equal to 1"),
        ({"ServerlessConfig": {"MemorySizeInMB": 512, "MaxConcurrency": 5}}, "greater than or equal to 1024"),
        ({"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 500}}, "less than or equal to 200"),
        ({"VariantName": "-bad-"}, "Member must satisfy regular expression pattern"),
    ],
)
def test_nested_members_are_checked(variant: dict[str, Any], expected: str) -> None:
    variants = [{"VariantName": "AllTraffic", "ModelName": "m", **variant}]
    message = refusal("CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": variants})
    assert message.startswith("1 validation error detected: ")
    assert "productionVariants.1.member." in message
    assert expected in message


def test_all_findings_come_in_one_message() -> None:
    message = refusal("CreateModel", {"ModelName": "under_score", "ExecutionRoleArn": "x" * 30})
    assert message.startswith("2 validation errors detected: ")
    assert "'modelName'" in message
    assert "'executionRoleArn'" in message


@pytest.mark.parametrize("wrong", [{"EndpointName": 5}, {"EndpointName": ["e"]}, {"EndpointName": True}])
def test_a_wrong_type_is_no_validation_matter(wrong: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        check_request("sagemaker", "DescribeEndpoint", wrong)
    assert caught.value.code == "SerializationException"


def test_every_operation_is_sagemakers_and_its_patterns_can_be_checked(tmp_path: Path) -> None:
    """Service models are written for Java's patterns; one that Python cannot read would answer 500."""
    operations = set(ControlPlane(tmp_path).operations)
    assert {"CreateModel", "UpdateEndpoint", "ListEndpointConfigs", "AddTags"} <= operations
    assert operations <= set(service_model("sagemaker").operation_names)
    scaling = service_model("application-autoscaling").operation_names
    asked = [("sagemaker", name) for name in operations] + [("application-autoscaling", n) for n in scaling]
    patterns = {pattern for service, name in asked for pattern in _patterns(service, name)}
    assert len(patterns) > 20
    for pattern in patterns:
        compile_pattern(pattern)


def test_a_captured_image_is_base64_and_its_answer_json_if_the_header_says_so() -> None:
    exchange = Exchange("image/png", b"\x89PNG", "application/json", b"[0.9, 0.1]", inference_id="photo-1")
    header = {"CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]}}

    line = record(exchange, {"CaptureOptions": BOTH, **header}, NOON)

    photo = {"observedContentType": "image/png", "data": "iVBORw==", "encoding": "BASE64"}
    answer = {"observedContentType": "application/json", "data": "[0.9, 0.1]", "encoding": "JSON"}
    assert line["captureData"] == {
        "endpointInput": {**photo, "mode": "INPUT"},
        "endpointOutput": {**answer, "mode": "OUTPUT"},
    }
    assert line["eventMetadata"]["inferenceTime"] == "2026-11-23T12:00:05Z"
    assert line["eventMetadata"]["inferenceId"] == "photo-1"
    assert line["eventVersion"] == "0"
    json.dumps(line)

    line = record(Exchange("text/csv", b"1,2", "application/json", b"[]"), {"CaptureOptions": BOTH}, NOON)
    assert {side["encoding"] for side in line["captureData"].values()} == {"BASE64"}
    line = record(exchange, {"CaptureOptions": [{"CaptureMode": "Output"}]}, NOON)
    assert list(line["captureData"]) == ["endpointOutput"], "only the sides that were asked for"


@pytest.mark.parametrize(("percentage", "captured"), [(0, []), (100, ["one", "two"])])
def test_the_sampling_percentage_decides_what_is_captured(
    percentage: int, captured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3, where = Mock(), {"DestinationS3Uri": "s3://b/captured/", "CaptureOptions": BOTH}
    monkeypatch.setattr(capture, "client", lambda _: s3)
    monkeypatch.setattr(capture, "_FLUSH_AFTER_S", 0.05)
    writer = Capture({"InitialSamplingPercentage": percentage, **where}, "e/AllTraffic")
    for name in ("one", "two"):
        writer.add(Exchange("image/png", b"x", "application/json", b"[]", inference_id=name))
    writer.close()
    files = [call.kwargs for call in s3.put_object.call_args_list]
    lines = [json.loads(line) for file in files for line in file["Body"].splitlines()]
    assert [line["eventMetadata"]["inferenceId"] for line in lines] == captured
    assert all(file["Bucket"] == "b" for file in files)
    assert all(file["Key"].startswith("captured/e/AllTraffic/20") for file in files)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Return a clock that only moves when somebody sleeps."""
    clock = Mock(now=100.0)
    clock.monotonic.side_effect = lambda: clock.now
    clock.sleep.side_effect = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(container, "time", clock)
    return clock


def capacity(concurrency: int, cold_start_s: int = 0) -> Capacity:
    variant = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": concurrency}}
    return Capacity(variant, {COLD_START_VARIABLE: str(cold_start_s)} if cold_start_s else {})


def test_requests_beyond_the_concurrency_are_throttled() -> None:
    two = capacity(2)
    with two.slot(), two.slot():
        with pytest.raises(ApiError) as throttled, two.slot():
            pass
        assert throttled.value.code == "ThrottlingException"
    with two.slot():
        pass


def test_a_request_that_timed_out_or_failed_leaves_its_slot(clock: Mock) -> None:
    one = capacity(1, cold_start_s=70)
    with pytest.raises(TimeoutError), one.slot():
        pass
    assert clock.now == 160, "SageMaker waits for a minute"
    with pytest.raises(ZeroDivisionError), one.slot():
        raise ZeroDivisionError
    with one.slot():
        assert clock.now == 170


def test_requests_wait_until_the_endpoint_is_warm(clock: Mock) -> None:
    two = capacity(2, cold_start_s=6)
    for _ in range(2):
        with two.slot():
            assert clock.now == 106


def _patterns(service: str, operation: str) -> set[str]:
    shape = service_model(service).operation_model(operation).input_shape
    found, seen, waiting = set(), set(), [shape]
    while waiting:
        current = waiting.pop()
        if current is None or current.name in seen:
            continue
        seen.add(current.name)
        found |= {current.metadata["pattern"]} if "pattern" in current.metadata else set()
        waiting += list(getattr(current, "members", {}).values())
        waiting += [getattr(current, part, None) for part in ("member", "key", "value")]
    return found
