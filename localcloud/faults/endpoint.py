"""Faults of the SageMaker endpoint."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from localcloud.faults.catalogue import PLACES
from localcloud.faults.switches import Switches
from localcloud.sagemaker.container import Answer
from localcloud.sagemaker.resources import ApiError

_ANSWERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "wrong-length": lambda body: json.dumps([*json.loads(body), 0.0]).encode(),
    "not-a-number": lambda body: json.dumps([float("nan") for _ in json.loads(body)]).encode(),
    "not-json": lambda _: b"<html>502</html>",
    "empty": lambda _: b"",
}


def asked(switches: Switches | None, ask: Callable[[], Answer]) -> Answer:
    """Return the endpoint's answer, or what a fault makes of it; raise SageMaker's error as an ApiError."""
    fault = switches.pick("sagemaker", "InvokeEndpoint") if switches else None
    if fault is None:
        return ask()
    if fault.name in {"slow", "timeout"}:
        time.sleep(fault.seconds)
    if error := PLACES["sagemaker"].error(fault.name):
        status, code, message = error
        raise ApiError(code, message, status=status)
    answer = ask()
    return replace(answer, body=_ANSWERS.get(fault.name, bytes)(answer.body))
