"""ClassifyImage: the request to the endpoint, which responses are accepted, and the error of each other."""

import base64
import io
import json
import logging
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from tests.support.sam_app import function_environment, load_function

function = load_function("classify_image")
errors = function.errors
IMAGE = b"\x89PNG secret pixels"
BASE64 = base64.b64encode(IMAGE).decode()
EVENT = {
    "s3_bucket": "photos",
    "s3_key": "incoming/a.jpg",
    "version_id": "v7",
    "content_type": "image/png",
    "image_data": BASE64,
    "inferences": [],
    "extra": "ignored",
}


@pytest.fixture
def runtime() -> Iterator[Stubber]:
    with Stubber(function.app.RUNTIME) as stubber:
        yield stubber


def answer(content: Any) -> dict[str, Any]:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return {"Body": StreamingBody(io.BytesIO(data), len(data)), "ContentType": "application/json"}


def test_the_image_is_sent_and_only_its_name_returned(runtime: Stubber) -> None:
    request = {
        "EndpointName": function_environment("classify_image")["ENDPOINT_NAME"],
        "ContentType": "image/png",
        "Accept": "application/json",
        "Body": IMAGE,
        "InferenceId": "v7",
    }
    runtime.add_response("invoke_endpoint", answer([0.9, 0.1]), request)
    kept = {name: EVENT[name] for name in ("s3_bucket", "s3_key", "version_id", "content_type")}
    answered = {"inferences": [0.9, 0.1], "model_version": None, "neither": None}
    assert function.app.lambda_handler(EVENT, None) == kept | answered
    runtime.assert_no_pending_responses()


def test_no_pixels_are_logged(runtime: Stubber, caplog: pytest.LogCaptureFixture) -> None:
    runtime.add_response("invoke_endpoint", answer([0.9, 0.1]))
    with caplog.at_level(logging.DEBUG):
        function.app.lambda_handler(EVENT, None)
    record = next(r for r in caplog.records if r.getMessage() == "photo classified")
    assert vars(record)["inferences"] == [0.9, 0.1]
    logged = str([vars(record) for record in caplog.records if not record.name.startswith("botocore")])
    assert BASE64 not in logged
    assert "secret" not in logged


@pytest.mark.parametrize(
    ("attributes", "version", "neither"),
    [
        ("labels=bicycle,motorcycle;model_version=7;neither=0.981234", "7", 0.981234),
        ("labels=b%69cycle,motorcycle; model_version=a%3Db%20c", "a=b c", None),
        ("model_version=scones-20261112-0f0f;neither=0", "scones-20261112-0f0f", 0.0),
        ("labels=bicycle,motorcycle;neither=1.000001", None, None),
        ("labels=bicycle,motorcycle;model_version=;neither=nan", None, None),
        ("neither=nor", None, None),
        ("c000b4f9-df62-4c85-a0bf-7c525f9104a4", None, None),  # another model's own attributes
        ("", None, None),
    ],
)
def test_the_models_version_and_probability_of_neither_are_returned(
    runtime: Stubber, attributes: str, version: str | None, neither: float | None
) -> None:
    runtime.add_response("invoke_endpoint", {**answer([0.501, 0.499]), "CustomAttributes": attributes})
    found = function.app.lambda_handler(EVENT, None)
    assert (found["model_version"], found["neither"]) == (version, neither)


@pytest.mark.parametrize(
    "labels",
    ["motorcycle,bicycle", "wheel,engine", "bicycle", "bicycle%2Cmotorcycle", "bicycle,motorcycle,van", ""],
)
def test_an_endpoint_of_other_labels_violates_the_contract(runtime: Stubber, labels: str) -> None:
    # Three probabilities would be noticed anyway; these two would have got the wrong labels.
    attributes = f"labels={labels};model_version=7"
    runtime.add_response("invoke_endpoint", {**answer([0.9, 0.1]), "CustomAttributes": attributes})
    with pytest.raises(errors.EndpointContractViolation, match="ClassLabels is bicycle,motorcycle"):
        function.app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(
    "values",
    [[1.0, 0.0], [0, 1], [0.5, 0.5], [0.3337, 0.6667], [0.9510304927825928, 0.048969559371471405]],
    ids=lambda values: "SageMaker's built-in algorithm" if values[0] == 0.9510304927825928 else None,
)
def test_probabilities_are_accepted(values: list[float]) -> None:
    assert function.endpoint.probabilities(json.dumps(values).encode(), 2) == values


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"not JSON", b"\xff\xfe\x00", b"[NaN, 1]", b"[Infinity, 0]", b"[1e999, 0]", b"[" * 50_000),
        *([], [1.0], [0.3, 0.3, 0.4], [[0.9, 0.1]], {"predictions": [0.9, 0.1]}, "0.9, 0.1", None),
        *(["0.9", "0.1"], [True, False], [None, 1], [1.1, -0.1], [0.9, 0.2], [0.1, 0.2]),
    ],
)
def test_anything_else_violates_the_contract(runtime: Stubber, content: Any) -> None:
    runtime.add_response("invoke_endpoint", answer(content))
    with pytest.raises(errors.EndpointContractViolation, match="endpoint's"):
        function.app.lambda_handler(EVENT, None)


@pytest.mark.parametrize(
    ("code", "http_status", "original", "error"),
    [
        *(("ModelError", 424, status, "EndpointContractViolation") for status in (400, 415)),
        *(("ModelError", 424, status, "EndpointUnavailable") for status in (408, 500, 503, 504, None)),
        ("ModelError", 424, 429, "EndpointBusy"),
        ("ValidationError", 400, None, "EndpointUnavailable"),
        ("ThrottlingException", 400, None, "EndpointBusy"),
        ("TooManyRequestsException", 429, None, "EndpointBusy"),
        ("ServiceUnavailable", 503, None, "EndpointUnavailable"),
        ("InternalFailure", 500, None, "EndpointUnavailable"),
        ("ModelNotReadyException", 429, None, "EndpointBusy"),
        ("AccessDeniedException", 403, None, "EndpointUnavailable"),
    ],
)
def test_each_error_of_the_endpoint_has_its_name(
    runtime: Stubber, code: str, http_status: int, original: int | None, error: str
) -> None:
    fields = {"OriginalStatusCode": original, "OriginalMessage": "why"} if original else None
    runtime.add_client_error("invoke_endpoint", code, http_status_code=http_status, modeled_fields=fields)
    with pytest.raises(getattr(errors, error), match="scones-vehicle-classifier"):
        function.app.lambda_handler(EVENT, None)


INVALID: dict[str, list[Any]] = {
    "image_data": [None, 5, ["a"], {"a": 1}, "ä", "no base64!", ""],
    "content_type": [None, 5, [], "text/plain", "image/tiff"],
}


@pytest.mark.parametrize(("name", "value"), [(name, one) for name in INVALID for one in INVALID[name]])
def test_an_invalid_image_never_reaches_the_endpoint(runtime: Stubber, name: str, value: Any) -> None:
    # No response is stubbed, so a call would fail.
    with pytest.raises(errors.UnsupportedImage, match=name):
        function.app.lambda_handler({**EVENT, name: value}, None)
    runtime.assert_no_pending_responses()


@pytest.mark.parametrize("kind", [EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError])
def test_connection_errors_are_unavailable(kind: Any) -> None:
    client = Mock(invoke_endpoint=Mock(side_effect=kind(endpoint_url="https://runtime")))
    with pytest.raises(errors.EndpointUnavailable, match="did not respond"):
        function.endpoint.classify(client, "e", IMAGE, "image/png", ("bicycle", "motorcycle"))
