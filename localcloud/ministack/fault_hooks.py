"""Faults in what ministack does: functions, the workflow's own calls, S3's answers, the rule's events.

Nothing happens while no fault is switched on (localcloud.faults). One that is on hits calls before ministack
sees them, and answers with AWS's error.
"""

import asyncio
import contextlib
import contextvars
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from localcloud.faults.catalogue import FUNCTIONS
from localcloud.faults.switches import Fault, Switches, of_this_process
from localcloud.ministack.errors import IncompatibleMinistackError
from localcloud.ministack.rule_delivery import DELIVERY, PermanentDeliveryError, TransientDeliveryError
from localcloud.ministack.web_pages import Application, Message, Receive, Send

LONGER_THAN_A_STATE_S: Final = 12.0
"""The states' own limit for calls of services is 10 s."""
_PREFIXES: Final = {
    "dynamodb": ("DynamoDB", "AmazonDynamoDBException"),
    "events": ("EventBridge", "EventBridgeException"),
}
_ERRORS: Final = {"throttled": "ThrottlingException", "denied": "AccessDeniedException"}
_LAMBDA: Final = {
    "crash": ("Runtime.ExitError", "Error: Runtime exited with error: signal: killed"),
    "timeout": ("Sandbox.Timedout", "Error: Task timed out"),
    "throttled": ("Lambda.TooManyRequestsException", "Rate Exceeded."),
    "error": ("Lambda.ServiceException", "The service encountered an internal error."),
}
_S3: Final = {
    "slow-down": (503, "SlowDown", "Please reduce your request rate."),
    "error": (500, "InternalError", "We encountered an internal error. Please try again."),
    "denied": (403, "AccessDenied", "Access Denied"),
}

Call = Callable[[str, Any], Any]
Execute = Callable[[dict[str, Any], Any, str], dict[str, Any]]


def faulty_integration(
    switches: Switches, resource: str, call: Call, error_class: Callable[[str, str], Exception]
) -> Call:
    """Return a state's call of a service, such as `arn:aws:states:::events:putEvents`, that faults may hit.

    Args:
        switches: the faults.
        resource: the state's resource.
        call: makes the call.
        error_class: makes the error of a name and a cause.
    """
    service, action = resource.rsplit(":", 2)[1:]
    operation = action[0].upper() + action[1:]
    prefix, other = _PREFIXES.get(service, (service, "Exception"))

    def faulty(*args: Any) -> Any:
        fault = switches.pick(service, operation, json.dumps(args[-1], default=str, ensure_ascii=False))
        if fault is None or fault.name == "slow":
            time.sleep(fault.seconds if fault else 0)
        elif fault.name == "timeout":
            time.sleep(LONGER_THAN_A_STATE_S)
            raise error_class(f"{prefix}.SdkClientException", "the service did not answer")
        else:
            name = _ERRORS.get(fault.name, other)
            raise error_class(f"{prefix}.{name}", f"{name}: a fault that is switched on")
        return call(*args)

    return faulty


def faulty_execution(switches: Switches, execute: Execute) -> Execute:
    """Return ministack's execution of a function, which faults may hit."""

    def faulty(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        name = str((func.get("config") or func).get("FunctionName", ""))
        operation = next((one for one in FUNCTIONS if one in name), "")
        key = str(event.get("s3_key", "")) if isinstance(event, dict) else ""
        fault = switches.pick("lambda", operation, key) if operation else None
        if fault and fault.name in {"slow", "timeout"}:
            time.sleep(fault.seconds)
        if fault is None or fault.name == "slow":
            return execute(func, event, request_id)
        error, message = _LAMBDA[fault.name]
        body = {"errorType": error, "errorMessage": f"RequestId: {request_id} {message}"}
        return {"body": body, "error": True, "log": ""}

    return faulty


def faulty_events(switches: Switches, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """Return ministack's dispatch of events, in which faults may hit the events of uploads."""

    def faulty(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if event.get("Source") != "aws.s3":
            return dispatch(event, *args, **kwargs)
        fault = switches.pick("rule", "ObjectCreated", _key_of(event))
        if fault is None or fault.name in {"throttled", "denied"}:  # these are the delivery's
            with _delivering(fault):
                return dispatch(event, *args, **kwargs)
        if fault.name == "duplicate":
            dispatch(event, *args, **kwargs)
            return dispatch(event, *args, **kwargs)
        if fault.name == "late":
            run = contextvars.copy_context().run
            threading.Timer(fault.seconds, run, (dispatch, event, *args), kwargs).start()
        return None

    return faulty


_hit_delivery: contextvars.ContextVar[Fault | None] = contextvars.ContextVar("hit_delivery", default=None)


@contextlib.contextmanager
def _delivering(fault: Fault | None) -> Iterator[None]:
    """Tell the delivery of the events that are dispatched inside of a fault."""
    token = _hit_delivery.set(fault)
    try:
        yield
    finally:
        _hit_delivery.reset(token)


def _key_of(event: Mapping[str, Any]) -> str:
    detail = json.loads(event.get("Detail") or "{}")
    return str(detail.get("object", {}).get("key", ""))


class FaultyDelivery:
    """Raises what a fault says before a delivery: of uploads, and to the application's queues.

    Args:
        switches: the faults.
    """

    def __init__(self, switches: Switches) -> None:
        self._switches, self._throttled = switches, set[str]()

    def __call__(self, target: Mapping[str, Any], payload: str) -> None:
        """Raise the fault's error, if the event has one.

        Raises:
            PermanentDeliveryError: the rule may not send to the target.
            TransientDeliveryError: the target does not take it now; a workflow, at the first attempt only.
        """
        fault = _hit_delivery.get()
        if ":sqs:" in str(target.get("Arn")) and target.get("DeadLetterConfig"):
            self._hit_queue(self._switches.pick("sqs", "SendMessage", payload))
        elif fault and fault.name == "denied":
            raise PermanentDeliveryError(fault.name)
        elif fault and payload not in self._throttled:
            self._throttled.add(payload)
            raise TransientDeliveryError(fault.name)
        else:
            self._throttled.discard(payload)

    @staticmethod
    def _hit_queue(fault: Fault | None) -> None:
        if fault and fault.name == "slow":
            time.sleep(fault.seconds)
        elif fault:
            raise (PermanentDeliveryError if fault.name == "denied" else TransientDeliveryError)(fault.name)


def faulty_storage(switches: Switches, application: Application) -> Application:
    """Return ministack's server, in which faults may hit reading photos from S3."""

    async def faulty(scope: Message, receive: Receive, send: Send) -> None:
        path = unquote(scope.get("path", ""))
        reading = scope["type"] == "http" and scope["method"] == "GET" and "/incoming/" in path
        fault = switches.pick("s3", "GetObject", path) if reading else None
        if fault is None:
            await application(scope, receive, send)
        elif fault.name == "slow":
            await asyncio.sleep(fault.seconds)
            await application(scope, receive, send)
        elif fault.name == "broken-off":
            await application(scope, receive, _cutting(send))
        else:
            await _answer(send, *_S3[fault.name])

    return faulty


def _cutting(send: Send) -> Send:
    """Return a `send` that sends half of the body, under the length of the whole."""

    async def cut(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            message = {**message, "body": body[: len(body) // 2]}
        await send(message)

    return cut


async def _answer(send: Send, status: int, code: str, text: str) -> None:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def apply() -> None:
    """Put the faults in front of what the imported ministack does, if this process belongs to a local cloud.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack import app as server  # type: ignore[import-untyped]  # noqa: PLC0415
    from ministack.services import (  # type: ignore[import-untyped]  # noqa: PLC0415
        eventbridge,
        lambda_svc,
        stepfunctions,
    )

    switches = of_this_process()
    if switches is None:
        return
    dispatch = stepfunctions._SERVICE_DISPATCH  # noqa: SLF001
    if not all(callable(call) for call in dispatch.values()):
        raise IncompatibleMinistackError("states call services in another way")
    for resource, call in dispatch.items():
        error = stepfunctions._ExecutionError  # noqa: SLF001
        dispatch[resource] = faulty_integration(switches, resource, call, error)
    lambda_svc._execute_function_warm = faulty_execution(  # noqa: SLF001
        switches,
        lambda_svc._execute_function_warm,  # noqa: SLF001
    )
    eventbridge._dispatch_event = faulty_events(switches, eventbridge._dispatch_event)  # noqa: SLF001
    DELIVERY.before = FaultyDelivery(switches)
    server.app = faulty_storage(switches, server.app)
