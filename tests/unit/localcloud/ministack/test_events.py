"""An event whose target does not take it: tried again as the rule says, then buried."""

import threading
from typing import Any

import pytest

from localcloud.ministack.events import (
    Delivery,
    PermanentDeliveryError,
    TransientDeliveryError,
    deliver,
    refusal,
    too_large,
)

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


def sender(
    target: Target, *, exists: bool = True, dead_letters: bool = True
) -> tuple[Any, list[tuple[str, str]]]:
    buried: list[tuple[str, str]] = []
    made = Delivery()
    made.bury = lambda arn, payload: buried.append((arn, payload))
    made.target.set({"DeadLetterConfig": {"Arn": QUEUE}} if dead_letters else {})
    return made.around(target, lambda _: exists), buried


def test_an_event_of_a_target_that_is_gone_is_buried() -> None:
    target = Target(0)
    send, buried = sender(target, exists=False)
    send("arn:machine", "{}")
    assert (target.tried, buried) == (0, [(QUEUE, "{}")])


def test_without_a_dead_letter_queue_it_is_dropped_as_on_aws() -> None:
    send, buried = sender(Target(0), exists=False, dead_letters=False)
    send("arn:machine", "{}")
    assert buried == []


def test_a_throttled_target_is_sent_to_in_the_background() -> None:
    target = Target(1)
    send, buried = sender(target)
    send("arn:machine", "{}", {"MessageGroupId": "g"})
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
