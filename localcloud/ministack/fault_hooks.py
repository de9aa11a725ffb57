"""Faults in what ministack does: functions, the workflow's own calls, S3's answers, the rule's events.

Nothing happens while no fault is switched on (localcloud.faults). One that is on hits calls before ministack
sees them, and answers with AWS's error.
"""

import asyncio
import contextvars
import json
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from localcloud.faults import FUNCTIONS, PLACES, Fault, Switches, of_this_process
from localcloud.ministack.errors import during, expect, wrap
from localcloud.ministack.events import DELIVERY, PermanentDeliveryError, TransientDeliveryError
from localcloud.ministack.server import Application, Message, Receive, Send

LONGER_THAN_A_STATE_S: Final = 12.0
"""The states' own limit for calls of services is 10 s."""
_PREFIXES: Final = {"dynamodb": "DynamoDB", "events": "EventBridge"}

Call = Callable[[str, Any], Any]
Execute = Callable[[dict[str, Any], Any, str], dict[str, Any]]


def faulty_integration(
    switches: Switches, resource: str, call: Call, error_class: Callable[[str, str], Exception]
) -> Call:
    """Return a state's call, such as `arn:aws:states:::events:putEvents`, that faults may hit."""
    service, action = resource.rsplit(":", 2)[1:]
    operation = action[0].upper() + action[1:]

    def faulty(*args: Any) -> Any:
        fault = switches.pick(service, operation, json.dumps(args[-1], default=str, ensure_ascii=False))
        if fault:
            time.sleep({"slow": fault.seconds, "timeout": LONGER_THAN_A_STATE_S}.get(fault.name, 0))
            if error := PLACES[service].error(fault.name):
                raise error_class(f"{_PREFIXES.get(service, service)}.{error[1]}", error[2])
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
        error = PLACES["lambda"].error(fault.name) if fault else None
        if error is None:
            return execute(func, event, request_id)
        body = {"errorType": error[1], "errorMessage": f"RequestId: {request_id} {error[2]}"}
        return {"body": body, "error": True, "log": ""}

    return faulty


def faulty_events(switches: Switches, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    """Return ministack's dispatch of events, in which faults may hit the events of uploads."""

    def faulty(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if event.get("Source") != "aws.s3":
            return dispatch(event, *args, **kwargs)
        fault = switches.pick("rule", "ObjectCreated", _key_of(event))
        if fault is None or fault.name in {"throttled", "denied"}:  # these are the delivery's
            with during(_hit_delivery, fault):
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


def _key_of(event: Mapping[str, Any]) -> str:
    detail = json.loads(event.get("Detail") or "{}")
    return str(detail.get("object", {}).get("key", ""))


class FaultyDelivery:
    """Raises a fault's error before a delivery: of uploads, and to the application's queues."""

    def __init__(self, switches: Switches) -> None:
        self._switches, self._throttled = switches, set[str]()

    def __call__(self, target: Mapping[str, Any], payload: str) -> None:
        """Raise the error of the event's fault, if any; a workflow throttles at the first attempt only."""
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
        if fault and (error := PLACES["s3"].error(fault.name)):
            await _answer(send, *error)
            return
        if fault and fault.name == "slow":
            await asyncio.sleep(fault.seconds)
        await application(scope, receive, _cutting(send) if fault and fault.name == "broken-off" else send)

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
    """Put the faults around what the imported ministack does, if this process belongs to a local cloud."""
    from ministack import app as server
    from ministack.services import eventbridge, lambda_svc, stepfunctions

    switches = of_this_process()
    if switches is None:
        return
    calls, error = stepfunctions._SERVICE_DISPATCH, stepfunctions._ExecutionError
    expect(all(map(callable, calls.values())), "states call services in another way")
    calls |= {
        resource: faulty_integration(switches, resource, call, error) for resource, call in calls.items()
    }
    execution = ("func", "event", "request_id")
    wrap(lambda_svc, "_execute_function_warm", execution, partial(faulty_execution, switches))
    wrap(eventbridge, "_dispatch_event", ("event",), partial(faulty_events, switches))
    DELIVERY.before = FaultyDelivery(switches)
    server.app = faulty_storage(switches, server.app)
