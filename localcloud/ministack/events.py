"""EventBridge as on AWS: an event is delivered again, or goes to the target's dead-letter queue.

ministack drops an event whose target cannot take it, whatever `RetryPolicy` and `DeadLetterConfig` say. As on
AWS, a target that is gone or refuses is not tried again; one that throttles or fails is, with exponential
backoff:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
It also keeps every event for archives, about 0.1 MiB a photo; here the latest `EVENTS`.
"""

import contextvars
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from localcloud.ministack.admission import BEGUN, EVENTS_AT_A_TIME, Admission
from localcloud.ministack.errors import during, rewrite, wrap

EVENTS: Final = 500
_MOST_BYTES: Final = 262_144
_ATTEMPTS: Final = 185  # AWS's defaults: 185 times in 24 hours
_AGE_S: Final = 86_400
_LONGEST_PAUSE_S: Final = 60.0
_REPEATS: Final = Admission(EVENTS_AT_A_TIME, BEGUN)

Target = Mapping[str, Any]
Send = Callable[..., None]
"""Sends to a target's ARN an event's payload; what follows these two arguments is passed on."""


class TransientDeliveryError(Exception):
    """The target cannot take an event now."""


class PermanentDeliveryError(Exception):
    """The target will never take an event."""


def deliver(send: Callable[[], None], target: Target, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Send an event until the rule's target takes it; return whether it did.

    `send` raises a TransientDeliveryError or a PermanentDeliveryError.
    """
    policy = target.get("RetryPolicy") or {}
    attempts = int(policy.get("MaximumRetryAttempts", _ATTEMPTS))
    age, pause = float(policy.get("MaximumEventAgeInSeconds", _AGE_S)), 0.5
    for attempt in range(attempts + 1):
        try:
            send()
        except PermanentDeliveryError:
            return False
        except TransientDeliveryError:
            age -= pause
            if attempt == attempts or age < 0:
                return False
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        else:
            return True
    return False


class Delivery:
    """Sends events to targets, with the retries and the dead-letter queue of the rule's target.

    Attributes:
        target: the rule's target that is being invoked.
        before: called before each attempt with the target and the payload; may raise the errors above.
        bury: sends a payload to a dead-letter queue by its ARN.
    """

    def __init__(self) -> None:
        self.target: contextvars.ContextVar[Target] = contextvars.ContextVar(
            "target", default=MappingProxyType({})
        )
        self.before: Callable[[Target, str], None] = lambda _target, _payload: None
        self.bury: Callable[[str, str], None] = lambda _arn, _payload: None

    def around(self, send: Send, exists: Callable[[str], bool]) -> Send:
        """Return a sender whose first attempt is made at once, and others in the background."""

        def send_or_repeat(arn: Any, payload: str, *more: Any) -> None:
            def attempt() -> None:
                self.before(self.target.get(), payload)
                if not exists(str(arn)):
                    raise PermanentDeliveryError(str(arn))
                send(arn, payload, *more)

            def repeat() -> None:
                if not deliver(attempt, self.target.get(), _REPEATS.waiting(time.sleep)):
                    self._give_up(payload)

            try:
                attempt()
            except PermanentDeliveryError:
                self._give_up(payload)
            except TransientDeliveryError:
                _REPEATS.start(partial(contextvars.copy_context().run, repeat))

        return send_or_repeat

    def _give_up(self, payload: str) -> None:
        queue = (self.target.get().get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            self.bury(queue, payload)


DELIVERY: Final = Delivery()
"""Of this process."""


class Latest(list[Any]):
    """A list that keeps its latest `EVENTS` entries."""

    def append(self, item: Any) -> None:
        """Add an entry, and drop the oldest beyond the limit."""
        super().append(item)
        del self[:-EVENTS]


_CHANGES: Final = {
    "_put_events": {
        "        if bus_error:": "        bus_error = bus_error or _refusal(entry)\n        if bus_error:",
        "    results = []": """    if _too_large(entries):
        text = "Total size of the entries in the request is over the limit."
        return error_response_json("ValidationException", text, 400)
    results = []""",
    },
    "_event_from_test_payload": {"if not isinstance(detail, str):": 'if "Detail" not in event_obj:'},
    "_validate_wildcard": {
        "    index = 0\n": """    index = 0
    if operand.count("*") > 5:
        raise _InvalidPattern("Rule is too complex - try using fewer wildcard characters or fewer repeating "
                              "character sequences after a wildcard character")
"""
    },
}


def too_large(entries: Any) -> bool:
    """Return whether a call of PutEvents has more than EventBridge takes."""
    return len(json.dumps(entries, ensure_ascii=False, default=str).encode()) > _MOST_BYTES


def refusal(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the error code and text of an entry of PutEvents that EventBridge refuses."""
    for name in ("Source", "DetailType", "Detail"):
        if not entry.get(name):
            return "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
    try:
        detail = json.loads(entry["Detail"]) if isinstance(entry["Detail"], str) else entry["Detail"]
    except ValueError:
        detail = None
    return None if isinstance(detail, dict) else ("MalformedDetail", "Detail is malformed.")


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import eventbridge, sqs, stepfunctions

    send = eventbridge._dispatch_to_sqs
    DELIVERY.bury = lambda arn, payload: send(eventbridge.parse_arn(arn), payload)

    def remembering_target(invoke: Callable[..., None]) -> Callable[..., None]:
        def invoke_target(target: Target, *args: Any, **kwargs: Any) -> None:
            with during(DELIVERY.target, target):
                invoke(target, *args, **kwargs)

        return invoke_target

    def keeping_latest(log: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
        def latest_events() -> list[Any]:
            entries = log()
            if not isinstance(entries, Latest):
                entries = Latest(entries[-EVENTS:])
                eventbridge._events_log["entries"] = entries
            return entries

        return latest_events

    def to_workflow(start: Send) -> Send:
        return DELIVERY.around(
            start,
            lambda arn: stepfunctions._resolve_state_machine_arn(arn) is not None,
        )

    def to_queue(put: Send) -> Send:
        return DELIVERY.around(put, lambda arn: sqs._queue_by_arn(arn) is not None)

    rewrite(eventbridge, _CHANGES, _refusal=refusal, _too_large=too_large)
    eventbridge._OPERAND_VALIDATORS["wildcard"] = eventbridge._validate_wildcard
    wrap(eventbridge, "_invoke_target", ("target",), remembering_target)
    wrap(eventbridge, "_dispatch_to_stepfunctions", ("arn", "payload"), to_workflow)
    wrap(eventbridge, "_dispatch_to_sqs", ("spec", "payload"), to_queue)
    wrap(eventbridge, "_events_log_list", (), keeping_latest)
