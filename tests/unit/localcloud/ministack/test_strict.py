"""A local cloud that is as slow and as strict as AWS."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ministack.services import s3

from localcloud.ministack import strict


def answers(count: int, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    """Return the first message of each of some answers; the application's own is `ok`."""
    sent: list[Any] = []

    async def application(_scope: Any, _receive: Any, send: Any) -> None:
        await send("ok")

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        if message == "ok" or "status" in message:
            sent.append(message)

    async def ask() -> None:
        slow = strict.slow(application)
        for _ in range(count):
            await slow({"type": "http", "path": "/", "headers": headers}, receive, send)

    asyncio.run(ask())
    return sent


@pytest.mark.parametrize(("headers", "status"), [([(b"x-amz-target", b"DynamoDB.Query")], 400), ([], 503)])
def test_one_request_in_many_is_throttled(
    monkeypatch: pytest.MonkeyPatch, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    monkeypatch.setattr(strict, "LATENCY_S", 0)
    found = answers(2 * strict.THROTTLED_EVERY, headers)
    assert [one["status"] for one in found if one != "ok"] == [status, status]
    assert len(found) == 2 * strict.THROTTLED_EVERY


def test_every_second_short_poll_finds_nothing() -> None:
    async def receive(_data: Any, _queue: str) -> Any:
        return {"Messages": [1]}

    poll = strict.missing(receive, lambda _: 0)
    short = [bool(asyncio.run(poll({}, "queue"))) for _ in range(4)]
    long = [bool(asyncio.run(poll({"WaitTimeSeconds": 1}, "queue"))) for _ in range(4)]
    assert (short, long) == ([False, True, False, True], [True] * 4)


def test_a_new_bucket_sends_no_events_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)
    created = {"new": now, "old": now - timedelta(hours=1)}
    buckets = {name: {"created": when.isoformat()} for name, when in created.items()}
    monkeypatch.setattr(s3, "_buckets", buckets)
    sent: list[str] = []
    arns = [f"arn:aws:s3:::{bucket}" for bucket in ("new", "old", "foreign")]
    for source, arn in [*(("aws.s3", arn) for arn in arns), ("scones", arns[0])]:
        event = {"Source": source, "Resources": [arn]}
        strict.dispatch(lambda event: sent.append(event["Resources"][0]), event)
    assert [arn.rpartition(":")[2] for arn in sent] == ["old", "foreign", "new"]
