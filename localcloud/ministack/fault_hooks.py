"""Faults in what ministack does: functions, the workflow's own calls, S3's answers, the rule's events.

Nothing happens while no fault is switched on (localcloud.faults). One that is on hits calls before ministack
sees them, and answers with AWS's error.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from ministack import app as server
from ministack.services import eventbridge, lambda_svc, stepfunctions

from localcloud.faults import FUNCTIONS, PLACES, Fault, of_this_process
from localcloud.ministack import events
from localcloud.ministack.events import PermanentDeliveryError, TransientDeliveryError
from localcloud.ministack.repairs import Repairs, during, expect
from localcloud.ministack.server import Application, Message, Receive, Send, answer

FAULTS: Final = of_this_process()
REPAIRS: Final = Repairs()
LONGER_THAN_A_STATE_S: Final = 12.0
"""The states' own limit for calls of services is 10 s."""
_PREFIXES: Final = {"dynamodb": "DynamoDB", "events": "EventBridge"}

Call = Callable[..., Any]


def faulty_integration(resource: str, call: Call) -> Call:
    """Return a state's call, such as `arn:aws:states:::events:putEvents`, that faults may hit."""
    service, action = resource.rsplit(":", 2)[1:]
    operation = action[0].upper() + action[1:]

    def faulty(*args: Any) -> Any:
        fault = FAULTS.pick(service, operation, json.dumps(args[-1], default=str, ensure_ascii=False))
        if fault:
            time.sleep({"slow": fault.seconds, "timeout": LONGER_THAN_A_STATE_S}.get(fault.name, 0))
            if error := PLACES[service].error(fault.name):
                name = f"{_PREFIXES.get(service, service)}.{error[1]}"
                raise stepfunctions._ExecutionError(name, error[2])
        return call(*args)

    return faulty


@REPAIRS.step
def _break_integrations() -> None:
    calls = stepfunctions._SERVICE_DISPATCH
    expect(all(map(callable, calls.values())), "states call services in another way")
    calls |= {resource: faulty_integration(resource, call) for resource, call in calls.items()}


@REPAIRS.around(lambda_svc, "_execute_function_warm", "func", "event", "request_id")
def execute(original: Call, func: Mapping[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Execute a function, which faults may hit."""
    name = str((func.get("config") or func).get("FunctionName", ""))
    operation = next((one for one in FUNCTIONS if one in name), "")
    key = str(event.get("s3_key", "")) if isinstance(event, dict) else ""
    fault = FAULTS.pick("lambda", operation, key) if operation else None
    if fault and fault.name in {"slow", "timeout"}:
        time.sleep(fault.seconds)
    error = PLACES["lambda"].error(fault.name) if fault else None
    if error is None:
        return dict(original(func, event, request_id))
    body = {"errorType": error[1], "errorMessage": f"RequestId: {request_id} {error[2]}"}
    return {"body": body, "error": True, "log": ""}


_hit_delivery: ContextVar[Fault | None] = ContextVar("hit_delivery", default=None)
_throttled: Final = set[str]()


@REPAIRS.around(eventbridge, "_dispatch_event", "event")
def dispatch(original: Call, event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Dispatch an event; faults may hit those of uploads."""
    send = partial(original, event, *args, **kwargs)
    if event.get("Source") != "aws.s3":
        return send()
    detail = json.loads(event.get("Detail") or "{}")
    fault = FAULTS.pick("rule", "ObjectCreated", str(detail.get("object", {}).get("key", "")))
    if fault is None or fault.name in {"throttled", "denied"}:  # these are the delivery's
        with during(_hit_delivery, fault):
            return send()
    if fault.name == "duplicate":
        send()
        return send()
    if fault.name == "late":
        threading.Timer(fault.seconds, copy_context().run, (send,)).start()
    return None


@REPAIRS.instead(events, "before", "_target", "_payload")
def before(target: Mapping[str, Any], payload: str) -> None:
    """Raise a fault's error before a delivery: of uploads, and to the application's queues.

    A workflow throttles at the first attempt only.
    """
    is_queue = ":sqs:" in str(target.get("Arn")) and bool(target.get("DeadLetterConfig"))
    fault = FAULTS.pick("sqs", "SendMessage", payload) if is_queue else _hit_delivery.get()
    if fault is None:
        return
    if fault.name == "slow":
        time.sleep(fault.seconds)
    elif fault.name == "denied":
        raise PermanentDeliveryError(fault.name)
    elif is_queue or payload not in _throttled:
        if not is_queue:
            _throttled.add(payload)
        raise TransientDeliveryError(fault.name)
    else:
        _throttled.discard(payload)


def faulty_storage(application: Application) -> Application:
    """Return ministack's server, in which faults may hit reading photos from S3."""

    async def faulty(scope: Message, receive: Receive, send: Send) -> None:
        async def cut(message: Message) -> None:
            """Send half of the body, under the length of the whole."""
            body = message.get("body", b"")
            await send({**message, "body": body[: len(body) // 2]} if body else message)

        path = unquote(scope.get("path", ""))
        reading = scope["type"] == "http" and scope["method"] == "GET" and "/incoming/" in path
        fault = FAULTS.pick("s3", "GetObject", path) if reading else None
        if fault and (error := PLACES["s3"].error(fault.name)):
            status, code, text = error
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
            await answer(send, status, body, "application/xml")
            return
        if fault and fault.name == "slow":
            await asyncio.sleep(fault.seconds)
        await application(scope, receive, cut if fault and fault.name == "broken-off" else send)

    return faulty


@REPAIRS.step
def _break_storage() -> None:
    server.app = faulty_storage(server.app)
