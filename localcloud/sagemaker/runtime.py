"""InvokeEndpoint: one request through an endpoint, and SageMaker's errors.

Errors: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html#API_runtime_InvokeEndpoint_Errors
"""

import contextlib
import http.client
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus

from localcloud.faults.endpoint import asked
from localcloud.sagemaker.capture import Exchange
from localcloud.sagemaker.container import Answer
from localcloud.sagemaker.control_plane import ControlPlane
from localcloud.sagemaker.endpoints import Version
from localcloud.sagemaker.resources import ACCOUNT, REGION, ApiError

REALTIME_BODY_LIMIT = 6_291_456
"""Bytes that a real-time endpoint takes."""

SERVERLESS_BODY_LIMIT = 4 * 1024 * 1024
"""Bytes that a serverless endpoint takes."""

_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)


@dataclass(frozen=True)
class Invoked:
    """A successful answer and the variant that gave it."""

    answer: Answer
    variant: str


def invoke(plane: ControlPlane, name: str, headers: Message, body: bytes) -> Invoked:
    """Answer one InvokeEndpoint request.

    Args:
        plane: has the endpoints.
        name: endpoint name.
        headers: the HTTP request's headers.
        body: the payload.

    Raises:
        ApiError: ValidationError for an endpoint that is not there, 413 for a body that is too large,
            ThrottlingException if a serverless endpoint has no capacity left, ModelError when the
            container failed.
    """
    endpoint = plane.endpoint(name)
    if endpoint is None:
        raise _not_found(name)
    with endpoint.serving() as version:
        if version is None:
            raise _not_found(name)
        limit = SERVERLESS_BODY_LIMIT if version.config.serverless else REALTIME_BODY_LIMIT
        if len(body) > limit:
            raise ApiError("", f"Request Entity Too Large: {len(body)} bytes, at most {limit}", status=413)
        answer = asked(plane.faults, lambda: _ask(version, headers, body))
        if answer.status != HTTPStatus.OK:
            version.logs.ship()
            raise _model_error(version, answer.status, answer.body.decode(errors="replace"))
        if version.capture:
            version.capture.add(
                Exchange(
                    request_type=headers.get("Content-Type") or "",
                    request=body,
                    answer_type=answer.content_type,
                    answer=answer.body,
                    inference_id=headers.get("X-Amzn-SageMaker-Inference-Id") or "",
                    custom_attributes=headers.get("X-Amzn-SageMaker-Custom-Attributes") or "",
                )
            )
        return Invoked(answer, version.config.variant["VariantName"])


def _ask(version: Version, headers: Message, body: bytes) -> Answer:
    passed = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")
    forwarded = {key: value for key in passed if (value := headers.get(key))}
    slot = version.capacity.slot() if version.capacity else contextlib.nullcontext()
    try:
        with slot:
            return version.container.invoke(body, forwarded)
    except TimeoutError as error:
        raise _model_error(version, 0, _TIMED_OUT) from error
    except (OSError, http.client.HTTPException) as error:
        version.logs.ship()
        raise _model_error(version, 500, f"container died: {error}") from error


def _not_found(name: str) -> ApiError:
    return ApiError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")


def _model_error(version: Version, status: int, text: str) -> ApiError:
    client_fault = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    who = "client" if client_fault else "server"
    console = f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}"
    message = (
        f'Received {who} error ({status}) from primary with message "{text}". See '
        f"{console}#logEventViewer:group={version.logs.group} in account {ACCOUNT} for more information."
    )
    extra = {
        "OriginalStatusCode": status,
        "OriginalMessage": text,
        "LogStreamArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{version.logs.group}",
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if client_fault else "INTERNAL_FAILURE_FROM_MODEL",
    }
    return ApiError("ModelError", message, status=424, extra=extra)
