"""The faults that there are: what can go wrong at which call, under the names that AWS gives it."""

from dataclasses import dataclass
from typing import Final

FUNCTIONS: Final = ("SerializeImage", "ClassifyImage", "FilterInference")

_INTEGRATION: Final = {
    "slow": "the call takes --seconds longer",
    "timeout": "the call gets no answer, until the state's own limit",
    "throttled": "the service throttles",
    "error": "the service has an internal error",
    "denied": "the role may not make the call",
}
"""Faults of a service that a state of the workflow calls."""


@dataclass(frozen=True)
class Place:
    """Calls that faults can be switched on for.

    Attributes:
        operations: the operations, as AWS names them.
        faults: what can go wrong, and in which words.
    """

    operations: tuple[str, ...]
    faults: dict[str, str]


PLACES: Final = {
    "sagemaker": Place(
        ("InvokeEndpoint",),
        {
            "slow": "the model takes --seconds longer",
            "timeout": "the model does not answer: SageMaker gives up, here after --seconds",
            "waking": "a serverless endpoint that is not ready yet (ModelNotReadyException, 429)",
            "throttled": "the endpoint throttles (ThrottlingException, 400)",
            "error": "SageMaker has an internal error (InternalFailure, 500)",
            "unavailable": "SageMaker is not available (ServiceUnavailable, 503)",
            "model-error": "the model raises an exception (ModelError, 424)",
            "missing": "there is no such endpoint (ValidationError, 400)",
            "wrong-length": "the answer has one probability too many",
            "not-a-number": "the answer has NaN in it",
            "not-json": "the answer is no JSON",
            "empty": "the answer is empty",
        },
    ),
    "s3": Place(
        ("GetObject",),
        {
            "slow": "reading takes --seconds longer",
            "slow-down": "S3 asks to slow down (SlowDown, 503)",
            "error": "S3 has an internal error (InternalError, 500)",
            "denied": "the object may not be read (AccessDenied, 403)",
            "broken-off": "the connection ends in the middle of the object",
        },
    ),
    "lambda": Place(
        FUNCTIONS,
        {
            "slow": "the function takes --seconds longer",
            "crash": "the function's process is killed (Runtime.ExitError)",
            "timeout": "the function runs out of time (Sandbox.Timedout), here after --seconds",
            "throttled": "Lambda throttles (Lambda.TooManyRequestsException)",
            "error": "Lambda has an internal error (Lambda.ServiceException)",
        },
    ),
    "dynamodb": Place(("PutItem", "UpdateItem"), _INTEGRATION),
    "sqs": Place(("SendMessage",), _INTEGRATION),
    "events": Place(("PutEvents",), _INTEGRATION),
    "rule": Place(
        ("ObjectCreated",),
        {
            "duplicate": "the upload's event comes twice",
            "late": "it comes --seconds later; with a --rate, events come out of order",
            "lost": "it never comes",
            "throttled": "the workflow cannot be started now; the rule tries again",
            "denied": "the rule may not start the workflow: the event goes to the dead-letter queue",
        },
    ),
}
"""By service; `rule` is what happens between S3 and the start of the workflow."""
