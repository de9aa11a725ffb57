"""The faults that there are: what can go wrong at which call."""

import re
from dataclasses import dataclass
from typing import Final

FUNCTIONS: Final = ("SerializeImage", "ClassifyImage", "FilterInference")
_ERROR: Final = re.compile(r"(?:(\d{3}) )?([A-Z][\w.]+): (.+)")


@dataclass(frozen=True)
class Place:
    """Calls that faults can be switched on for.

    Attributes:
        operations: as AWS names them.
        faults: what happens, by name; AWS's answer if it is an error, such as `429 Name: message`.
    """

    operations: tuple[str, ...]
    faults: dict[str, str]

    def error(self, name: str) -> tuple[int, str, str] | None:
        """Return HTTP status (or 0), code and message of AWS's error; None for another fault."""
        found = _ERROR.fullmatch(self.faults[name])
        return (int(found[1] or 0), found[2], found[3]) if found else None


_INTEGRATION: Final = {
    "slow": "takes --seconds longer",
    "timeout": "SdkClientException: no answer until the state's own limit",
    "throttled": "ThrottlingException: the service throttles",
    "error": "AmazonDynamoDBException: the service has an internal error",
    "denied": "AccessDeniedException: the role may not make the call",
}

PLACES: Final = {
    "sagemaker": Place(
        ("InvokeEndpoint",),
        {
            "slow": "the model takes --seconds longer",
            "timeout": "424 ModelError: Your invocation timed out while waiting for a response.",
            "waking": "429 ModelNotReadyException: The model is not ready yet.",
            "throttled": "400 ThrottlingException: Rate exceeded",
            "error": "500 InternalFailure: Internal failure",
            "unavailable": "503 ServiceUnavailable: The service is unavailable. Try your call again.",
            "model-error": '424 ModelError: Received server error (500) from primary with message "broken".',
            "missing": "400 ValidationError: Endpoint of account 000000000000 not found.",
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
            "slow-down": "503 SlowDown: Please reduce your request rate.",
            "error": "500 InternalError: We encountered an internal error. Please try again.",
            "denied": "403 AccessDenied: Access Denied",
            "broken-off": "the connection ends in the middle of the object",
        },
    ),
    "lambda": Place(
        FUNCTIONS,
        {
            "slow": "the function takes --seconds longer",
            "crash": "Runtime.ExitError: Error: Runtime exited with error: signal: killed",
            "timeout": "Sandbox.Timedout: Error: Task timed out",
            "throttled": "Lambda.TooManyRequestsException: Rate Exceeded.",
            "error": "Lambda.ServiceException: The service encountered an internal error.",
        },
    ),
    "dynamodb": Place(("PutItem", "UpdateItem"), _INTEGRATION),
    "sqs": Place(("SendMessage",), _INTEGRATION),
    "events": Place(
        ("PutEvents",), {**_INTEGRATION, "error": "EventBridgeException: the service has an internal error"}
    ),
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
