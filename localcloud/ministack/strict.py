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

from ministack import app as server
from ministack.services import eventbridge, lambda_svc, s3, sqs

from localcloud.environment import STRICT
from localcloud.ministack.repairs import Repairs, expect
from localcloud.ministack.server import Application, Message, Receive, Send, answer

REPAIRS: Final = Repairs(when=os.environ.get(STRICT))
LATENCY_S: Final = 0.04
THROTTLED_EVERY: Final = 100
CONCURRENCY: Final = 10
NO_EVENTS_S: Final = 20
_SLOW_DOWN: Final = (
    "<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"
)


def slow(application: Application) -> Application:
    """Return an ASGI application that answers late, and throttles now and then."""
    requests = itertools.count(1)

    async def answer_late(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith("/_ministack"):
            await asyncio.sleep(LATENCY_S)
            if (
                next(requests) % THROTTLED_EVERY == 0
            ):  # as each protocol does: SDKs recognize it, and try again
                if "x-amz-target" in {name.decode() for name, _ in scope["headers"]}:
                    throttled = '{"__type": "ThrottlingException", "message": "Rate exceeded"}'
                    await answer(send, 400, throttled)
                else:
                    await answer(send, 503, _SLOW_DOWN, "application/xml")
                return
        await application(scope, receive, send)

    return answer_late


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


@REPAIRS.around(eventbridge, "_dispatch_event", "event")
def dispatch(original: Callable[..., Any], event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
    """Dispatch an event; a new bucket sends none."""
    bucket = s3._buckets.get(str((event.get("Resources") or [""])[0]).rpartition(":")[2])
    if event.get("Source") == "aws.s3" and bucket:
        age = datetime.now(UTC) - datetime.fromisoformat(bucket["created"])
        if age.total_seconds() < NO_EVENTS_S:
            return None
    return original(event, *args, **kwargs)


@REPAIRS.step
def _be_strict() -> None:
    def default_wait(queue: str) -> int:
        found = sqs._get_q(queue, "sqs:ReceiveMessage")
        return int(found["attributes"].get("ReceiveMessageWaitTimeSeconds", "0"))

    expect(isinstance(lambda_svc._ACCOUNT_CONCURRENCY_CAP, int), "Lambda's concurrency is bounded otherwise")
    lambda_svc._ACCOUNT_CONCURRENCY_CAP = CONCURRENCY
    sqs._HANDLERS["ReceiveMessage"] = missing(sqs._HANDLERS["ReceiveMessage"], default_wait)
    server.app = slow(server.app)
