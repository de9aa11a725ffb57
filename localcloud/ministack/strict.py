"""As slow and as strict as AWS, on demand (`scones local up --strict`).

Every request takes 40 ms; one in a hundred is throttled; a short poll of a queue misses its messages every
second time, since SQS asks some of its servers; the account runs ten functions at a time, as new ones do; and
S3 sends no events of a new bucket during its first seconds (on AWS: minutes).
"""

import asyncio
import functools
import itertools
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from localcloud.ministack.errors import expect, wrap
from localcloud.ministack.server import Application, Message, Receive, Send

VARIABLE: Final = "SCONES_STRICT"
LATENCY_S: Final = 0.04
THROTTLED_EVERY: Final = 100
CONCURRENCY: Final = 10
NO_EVENTS_S: Final = 20


def slow(application: Application) -> Application:
    """Return an ASGI application that answers late, and throttles now and then."""
    requests = itertools.count(1)

    async def answer_late(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_ministack"):
            await asyncio.sleep(LATENCY_S)
            if next(requests) % THROTTLED_EVERY == 0:
                await _throttle(scope, send)
                return
        await application(scope, receive, send)

    return answer_late


async def _throttle(scope: Message, send: Send) -> None:
    """Answer as each protocol does: SDKs recognize it, and try again."""
    names = {name for name, _ in scope["headers"]}
    if b"x-amz-target" in names:
        status, body = 400, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
    else:
        status = 503
        body = (
            b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
        )
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def missing(receive: Callable[..., Any], default_wait: Callable[[str], int]) -> Callable[..., Any]:
    """Return SQS's ReceiveMessage, which finds nothing at every second short poll."""
    polls = itertools.count(1)

    @functools.wraps(receive)
    async def poll(data: dict[str, Any], queue: str) -> Any:
        wait = data.get("WaitTimeSeconds")
        short = int(default_wait(data.get("QueueUrl", queue)) if wait is None else wait) == 0
        if short and next(polls) % 2:
            return {}
        return await receive(data, queue)

    return poll


def late(dispatch: Callable[..., Any], created: Callable[[str], datetime | None]) -> Callable[..., Any]:
    """Return EventBridge's dispatch, to which a new bucket sends no events."""

    def drop_first(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if event.get("Source") == "aws.s3":
            bucket = str((event.get("Resources") or [""])[0]).rpartition(":")[2]
            since = created(bucket)
            if since and (datetime.now(UTC) - since).total_seconds() < NO_EVENTS_S:
                return None
        return dispatch(event, *args, **kwargs)

    return drop_first


def apply() -> None:
    """Make the imported ministack strict, if this local cloud shall be."""
    if not os.environ.get(VARIABLE):
        return
    from ministack import app as server
    from ministack.services import eventbridge, lambda_svc, s3, sqs

    def created(bucket: str) -> datetime | None:
        found = s3._buckets.get(bucket)
        return datetime.fromisoformat(found["created"]) if found else None

    def default_wait(queue: str) -> int:
        found = sqs._get_q(queue, "sqs:ReceiveMessage")
        return int(found["attributes"].get("ReceiveMessageWaitTimeSeconds", "0"))

    expect(isinstance(lambda_svc._ACCOUNT_CONCURRENCY_CAP, int), "Lambda's concurrency is bounded otherwise")
    lambda_svc._ACCOUNT_CONCURRENCY_CAP = CONCURRENCY
    sqs._HANDLERS["ReceiveMessage"] = missing(sqs._HANDLERS["ReceiveMessage"], default_wait)
    wrap(eventbridge, "_dispatch_event", ("event",), lambda one: late(one, created))
    server.app = slow(server.app)
