"""Faults of the SageMaker endpoint."""

import json
import time
from collections.abc import Callable
from typing import Final

from localcloud.faults.switches import Fault, Switches
from localcloud.sagemaker.container import Answer
from localcloud.sagemaker.errors import ApiError

_REFUSALS: Final = {
    "waking": ("ModelNotReadyException", "The model is not ready yet.", 429),
    "throttled": ("ThrottlingException", "Rate exceeded", 400),
    "error": ("InternalFailure", "Internal failure", 500),
    "unavailable": ("ServiceUnavailable", "The service is unavailable. Try your call again.", 503),
    "missing": ("ValidationError", "Endpoint of account 000000000000 not found.", 400),
    "model-error": ("ModelError", 'Received server error (500) from primary with message "broken".', 424),
    "timeout": ("ModelError", "Your invocation timed out while waiting for a response from container.", 424),
}
_ANSWERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "wrong-length": lambda body: json.dumps([*json.loads(body), 0.0]).encode(),
    "not-a-number": lambda body: json.dumps([float("nan") for _ in json.loads(body)]).encode(),
    "not-json": lambda _: b"<html>502</html>",
    "empty": lambda _: b"",
}
_TAKE_TIME: Final = ("slow", "timeout")


def asked(switches: Switches | None, ask: Callable[[], Answer]) -> Answer:
    """Return the endpoint's answer, or what a fault makes of it.

    Args:
        switches: the faults; None for none.
        ask: asks the model.

    Raises:
        ApiError: the fault is an error of SageMaker's.
    """
    fault = switches.pick("sagemaker", "InvokeEndpoint") if switches else None
    if fault is None:
        return ask()
    return _hit(fault, ask)


def _hit(fault: Fault, ask: Callable[[], Answer]) -> Answer:
    if fault.name in _TAKE_TIME:
        time.sleep(fault.seconds)
    if fault.name in _REFUSALS:
        code, message, status = _REFUSALS[fault.name]
        raise ApiError(code, message, status=status)
    answer = ask()
    change = _ANSWERS.get(fault.name)
    if change is None:
        return answer
    return Answer(answer.status, answer.content_type, change(answer.body), answer.custom_attributes)
