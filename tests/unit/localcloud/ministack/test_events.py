"""An event whose target does not take it: tried again as the rule says, then buried."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.ministack import events
from localcloud.ministack.events import (
    PermanentDeliveryError,
    TransientDeliveryError,
    deliver,
    refusal,
    send_or_repeat,
    too_large,
)
from localcloud.ministack.repairs import during

QUEUE = "arn:aws:sqs:us-east-1:000000000000:undelivered"


class Target:
    """Takes an event after so many failures."""

    def __init__(self, failures: int, error: type[Exception] = TransientDeliveryError) -> None:
        self.failures, self.error, self.tried = failures, error, 0
        self.taken = threading.Event()

    def __call__(self, *_: Any) -> None:
        """Take the event, or fail."""
        self.tried += 1
        if self.tried <= self.failures:
            raise self.error("no")
        self.taken.set()


@pytest.mark.parametrize(
    ("failures", "attempts", "tried", "delivered"), [(0, 3, 1, True), (2, 3, 3, True), (9, 3, 4, False)]
)
def test_a_throttled_target_is_tried_again(
    failures: int, attempts: int, tried: int, *, delivered: bool
) -> None:
    target = Target(failures)
    waits: list[float] = []
    policy = {"RetryPolicy": {"MaximumRetryAttempts": attempts}}
    assert deliver(target, policy, waits.append) is delivered
    assert target.tried == tried
    assert waits == sorted(waits), "the pauses grow"


def test_an_event_that_is_too_old_is_given_up() -> None:
    target = Target(100)
    assert not deliver(target, {"RetryPolicy": {"MaximumEventAgeInSeconds": 60}}, lambda _: None)
    assert target.tried < 12


def test_a_permanent_error_is_not_tried_again() -> None:
    target = Target(1, PermanentDeliveryError)
    assert not deliver(target, {}, lambda _: None)
    assert target.tried == 1


@pytest.fixture
def buried(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Return the dead letters, with their queues; the rule's target has a dead-letter queue."""
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(events, "_send_to_queue", lambda arn, payload: found.append((str(arn), payload)))
    with during(events.TARGET, {"DeadLetterConfig": {"Arn": QUEUE}}):
        yield found


def test_an_event_of_a_target_that_is_gone_is_buried(buried: list[tuple[str, str]]) -> None:
    target = Target(0)
    send_or_repeat(target, lambda: False, "{}")
    assert (target.tried, buried) == (0, [(QUEUE, "{}")])


def test_without_a_dead_letter_queue_it_is_dropped_as_on_aws(buried: list[tuple[str, str]]) -> None:
    with during(events.TARGET, {}):
        send_or_repeat(Target(0), lambda: False, "{}")
    assert buried == []


def test_a_throttled_target_is_sent_to_in_the_background(buried: list[tuple[str, str]]) -> None:
    target = Target(1)
    send_or_repeat(target, lambda: True, "{}")
    assert target.taken.wait(10)
    assert buried == []


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, None),
        ({"Detail": {"a": 1}}, None),
        *(({name: ""}, "InvalidArgument") for name in ("Source", "DetailType", "Detail")),
        *(({"Detail": text}, "MalformedDetail") for text in ('"text"', "[]", "{")),
    ],
)
def test_an_entry_has_a_source_a_type_and_an_object(changed: dict[str, Any], code: str | None) -> None:
    entry = {"Source": "s", "DetailType": "t", "Detail": "{}", **changed}
    assert (refusal(entry) or (None,))[0] == code
    assert not too_large([entry] * 10)
    assert too_large([{**entry, "Detail": "é" * 132_000}])
