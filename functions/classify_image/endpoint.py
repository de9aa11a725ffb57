"""Invoke a SageMaker endpoint and validate what it returns: probabilities, and the model that computed them.

The response body is a JSON list of probabilities, as SageMaker's built-in image classification returns it.
Our containers also set the response header X-Amzn-SageMaker-Custom-Attributes to
`labels=bicycle,motorcycle;model_version=VERSION;neither=0.981234`, labels and version URL-encoded; other
models need not. `neither` is the probability that the image shows none of the labels.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from errors import EndpointBusy, EndpointContractViolation, EndpointUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

SUM_TOLERANCE: Final = 1e-3
_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_VERSION_LENGTH: Final = 200
_TOO_MANY_REQUESTS: Final = 429
# 408 (request timeout) and 429 from a model container are transient; its other 4xx are permanent.
_CLIENT_ERRORS: Final = frozenset(range(400, 500)) - {408, _TOO_MANY_REQUESTS}
# A serverless endpoint at its concurrency throttles; one that is still starting is not ready.
_THROTTLED: Final = frozenset({"ThrottlingException", "Throttling", "ModelNotReadyException"})


@dataclass(frozen=True, slots=True)
class Answer:
    """One probability per class, in label order; the others are None if the model does not say."""

    probabilities: list[float]
    model_version: str | None
    neither: float | None


def classify(  # noqa: PLR0913 - what a request is made of
    client: SageMakerRuntimeClient,
    endpoint_name: str,
    image: bytes,
    content_type: str,
    labels: Sequence[str],
    *,
    inference_id: str = "",
) -> Answer:
    """Send one image to the endpoint and return its answer; captured data has the `inference_id`."""
    try:
        response = client.invoke_endpoint(
            EndpointName=endpoint_name,
            ContentType=content_type,
            Accept="application/json",
            Body=image,
            **({"InferenceId": inference_id} if inference_id else {}),
        )
        body = response["Body"].read(_MAX_ANSWER_BYTES)
    except ClientError as exc:
        raise _from_client_error(endpoint_name, exc) from exc
    except (BotoCoreError, HTTPClientError, OSError) as exc:
        raise EndpointUnavailable(f"endpoint {endpoint_name} did not respond: {exc}") from exc
    pairs = (part.partition("=") for part in response.get("CustomAttributes", "").split(";"))
    attributes = {name.strip(): value.strip() for name, separator, value in pairs if separator}
    if "labels" in attributes:
        _check_labels(endpoint_name, attributes["labels"], labels)
    version = unquote(attributes.get("model_version", ""))[:_MAX_VERSION_LENGTH]
    try:
        neither = float(attributes.get("neither", ""))
    except ValueError:
        neither = math.nan
    # None as well if another model means something else by it.
    return Answer(
        probabilities(body, len(labels)), version or None, neither if _is_probability(neither) else None
    )


def _check_labels(endpoint_name: str, encoded: str, labels: Sequence[str]) -> None:
    served = [unquote(label) for label in encoded.split(",")]
    if served != list(labels):
        raise EndpointContractViolation(
            f"the model behind endpoint {endpoint_name} serves the labels {','.join(served):.200}, but "
            f"ClassLabels is {','.join(labels)}: deploy a model of these classes, or change the parameter"
        )


def probabilities(answer: bytes, classes: int) -> list[float]:
    """Parse a flat JSON list of so many probabilities that sum to 1."""
    try:
        values: Any = json.loads(answer)
    except (ValueError, RecursionError) as exc:  # RecursionError: thousands of nested lists
        raise EndpointContractViolation(f"the endpoint's response is not JSON: {answer[:80]!r}") from exc
    if not isinstance(values, list) or len(values) != classes:
        problem = f"response is not a list of {classes} probabilities"
    elif not all(_is_probability(value) for value in values):
        problem = "response contains values that are not probabilities"
    elif not math.isclose(math.fsum(values), 1, rel_tol=0, abs_tol=SUM_TOLERANCE):
        problem = f"probabilities sum to {math.fsum(values):.6g} instead of 1"
    else:
        return [float(value) for value in values]
    raise EndpointContractViolation(f"the endpoint's {problem}: {answer[:80]!r}")


def _is_probability(value: object) -> bool:
    # bool is an int in Python; NaN and Infinity, which Python's JSON reader lets pass, fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _from_client_error(endpoint_name: str, error: ClientError) -> Exception:
    response: dict[str, Any] = dict(error.response)
    code = response.get("Error", {}).get("Code", "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    original = response.get("OriginalStatusCode")
    if code == "ModelError" and original in _CLIENT_ERRORS:
        return EndpointContractViolation(
            f"the model behind endpoint {endpoint_name} refused the image with status "
            f"{original}: {str(response.get('OriginalMessage', ''))[:300]}"
        )
    if code in _THROTTLED or _TOO_MANY_REQUESTS in {status, original}:
        return EndpointBusy(f"endpoint {endpoint_name} throttles ({code}): {str(error)[:500]}")
    return EndpointUnavailable(f"endpoint {endpoint_name} returned {code}: {str(error)[:500]}")
