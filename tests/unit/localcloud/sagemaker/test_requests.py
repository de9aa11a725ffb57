"""The emulator's pure parts: what requests are refused, and what data capture writes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localcloud.sagemaker.capture import Exchange, record
from localcloud.sagemaker.control_plane import ControlPlane
from localcloud.sagemaker.resources import ApiError
from localcloud.sagemaker.validation import check_request, compile_pattern, service_model

NOON = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
BOTH = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]


@pytest.fixture
def operations(tmp_path: Path) -> set[str]:
    return set(ControlPlane(tmp_path).operations)


def refusal(operation: str, params: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        check_request("sagemaker", operation, params)
    assert caught.value.code == "ValidationException"
    return caught.value.message


def test_a_good_request_passes() -> None:
    check_request("sagemaker", "CreateEndpoint", {"EndpointName": "e-1", "EndpointConfigName": "c"})


def test_a_missing_member_is_refused_in_awss_words() -> None:
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


def test_every_pattern_of_every_operation_can_be_checked(operations: set[str]) -> None:
    """Service models are written for Java's patterns; one that Python cannot read would answer 500."""
    scaling = service_model("application-autoscaling").operation_names
    asked = [("sagemaker", name) for name in operations] + [("application-autoscaling", n) for n in scaling]
    patterns = {pattern for service, name in asked for pattern in _patterns(service, name)}
    assert len(patterns) > 20
    for pattern in patterns:
        compile_pattern(pattern)


def test_the_operations_are_ones_that_sagemaker_has(operations: set[str]) -> None:
    assert {"CreateModel", "UpdateEndpoint", "ListEndpointConfigs", "AddTags"} <= operations
    assert operations <= set(service_model("sagemaker").operation_names)


def test_a_captured_image_is_base64_and_its_answer_json() -> None:
    config = {
        "CaptureOptions": BOTH,
        "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
    }

    line = record(Exchange("image/png", b"\x89PNG", "application/json", b"[0.9, 0.1]"), config, NOON)

    photo = {"observedContentType": "image/png", "data": "iVBORw==", "encoding": "BASE64"}
    answer = {"observedContentType": "application/json", "data": "[0.9, 0.1]", "encoding": "JSON"}
    assert line["captureData"] == {
        "endpointInput": {**photo, "mode": "INPUT"},
        "endpointOutput": {**answer, "mode": "OUTPUT"},
    }
    assert line["eventMetadata"]["inferenceTime"] == "2026-11-23T12:00:05Z"
    assert line["eventVersion"] == "0"


def test_without_a_content_type_header_everything_is_base64() -> None:
    exchange = Exchange("text/csv", b"1,2", "application/json", b"[]")
    line = record(exchange, {"CaptureOptions": BOTH}, NOON)
    assert {side["encoding"] for side in line["captureData"].values()} == {"BASE64"}


def test_only_the_sides_that_were_asked_for_are_captured() -> None:
    exchange = Exchange("image/png", b"x", "application/json", b"[]", inference_id="photo-1")
    line = record(exchange, {"CaptureOptions": [{"CaptureMode": "Output"}]}, NOON)
    assert list(line["captureData"]) == ["endpointOutput"]
    assert line["eventMetadata"]["inferenceId"] == "photo-1"
    json.dumps(line)


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
