"""Invoke a SageMaker endpoint and validate the class probabilities that it returns."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from errors import EndpointContractViolation, EndpointUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sagemaker_runtime import SageMakerRuntimeClient

SUM_TOLERANCE: Final = 1e-3
_MAX_ANSWER_BYTES: Final = 64 * 1024
# 408 and 429 from a model container are transient; its other 4xx are permanent.
_CLIENT_ERRORS: Final = frozenset(range(400, 500)) - {408, 429}


def classify(
    client: SageMakerRuntimeClient, endpoint_name: str, image: bytes, content_type: str, classes: int
) -> list[float]:
    """Send one image to the endpoint and return its probabilities.

    Returns:
        One probability for each class, in label order.

    Raises:
        EndpointContractViolation: the model refused the request, or did not return probabilities.
        EndpointUnavailable: the endpoint did not respond; a later request may succeed.
    """
    try:
        response = client.invoke_endpoint(
            EndpointName=endpoint_name, ContentType=content_type, Accept="application/json", Body=image
        )
        answer = response["Body"].read(_MAX_ANSWER_BYTES)
    except ClientError as exc:
        raise _from_client_error(endpoint_name, exc) from exc
    except (BotoCoreError, HTTPClientError, OSError) as exc:
        raise EndpointUnavailable(f"endpoint {endpoint_name} did not respond: {exc}") from exc
    return probabilities(answer, classes)


def probabilities(answer: bytes, classes: int) -> list[float]:
    """Parse an endpoint's response: a flat JSON list of `classes` probabilities that sum to 1.

    Raises:
        EndpointContractViolation: the response is anything else.
    """
    try:
        values: Any = json.loads(answer)
    except (ValueError, RecursionError) as exc:  # RecursionError: thousands of nested lists
        raise EndpointContractViolation(f"the endpoint's response is not JSON: {answer[:80]!r}") from exc
    if not isinstance(values, list) or len(values) != classes:
        raise EndpointContractViolation(
            f"the endpoint's response is not a list of {classes} probabilities: {answer[:80]!r}"
        )
    if not all(_is_probability(value) for value in values):
        raise EndpointContractViolation(
            f"the endpoint's response contains values that are not probabilities: {answer[:80]!r}"
        )
    if not math.isclose(math.fsum(values), 1, rel_tol=0, abs_tol=SUM_TOLERANCE):
        raise EndpointContractViolation(
            f"the endpoint's probabilities sum to {math.fsum(values):.6g} instead of 1: {answer[:80]!r}"
        )
    return [float(value) for value in values]


def _is_probability(value: object) -> bool:
    # bool is an int in Python; NaN and Infinity, which Python's JSON reader lets pass, fail the comparison.
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _from_client_error(endpoint_name: str, error: ClientError) -> Exception:
    response: dict[str, Any] = dict(error.response)
    code = response.get("Error", {}).get("Code", "")
    if code == "ModelError" and response.get("OriginalStatusCode") in _CLIENT_ERRORS:
        return EndpointContractViolation(
            f"the model behind endpoint {endpoint_name} refused the image with status "
            f"{response['OriginalStatusCode']}: {str(response.get('OriginalMessage', ''))[:300]}"
        )
    return EndpointUnavailable(f"endpoint {endpoint_name} returned {code}: {str(error)[:500]}")
