"""EventBridge as on AWS: an event is delivered again, or goes to the target's dead-letter queue.

As on AWS, a target that is gone or refuses is not tried again; one that throttles or fails is, with
exponential backoff:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
ministack also keeps every event for archives, about 0.1 MiB a photo; here the latest `EVENTS`.
"""

import json
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar, copy_context
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from ministack.services import eventbridge, sqs, stepfunctions

from localcloud.ministack.admission import BEGUN, EVENTS_AT_A_TIME, Admission
from localcloud.ministack.repairs import Repairs, during

REPAIRS: Final = Repairs()
EVENTS: Final = 500
_MOST_BYTES: Final = 262_144
_ATTEMPTS: Final = 185  # AWS's defaults: 185 times in 24 hours
_AGE_S: Final = 86_400
_LONGEST_PAUSE_S: Final = 60.0
_REPEATS: Final = Admission(EVENTS_AT_A_TIME, BEGUN)

Target = Mapping[str, Any]
Send = Callable[..., None]
TARGET: Final[ContextVar[Target]] = ContextVar("target", default=MappingProxyType({}))
"""The rule's target that is being invoked."""


class TransientDeliveryError(Exception):
    """The target cannot take an event now."""


class PermanentDeliveryError(Exception):
    """The target will never take an event."""


def before(_target: Target, _payload: str) -> None:
    """Do nothing before each attempt; faults do, and raise the errors above."""


def deliver(send: Callable[[], None], target: Target, sleep: Callable[[float], None]) -> bool:
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


def send_or_repeat(send: Callable[[], None], exists: Callable[[], bool], payload: str) -> None:
    """Send an event to the target: the first attempt is made at once, others in the background."""

    def attempt() -> None:
        before(TARGET.get(), payload)
        if not exists():
            raise PermanentDeliveryError
        send()

    def wait(seconds: float) -> None:
        with _REPEATS.aside():
            time.sleep(seconds)

    def repeat() -> None:
        if not deliver(attempt, TARGET.get(), wait):
            _give_up(payload)

    try:
        attempt()
    except PermanentDeliveryError:
        _give_up(payload)
    except TransientDeliveryError:
        _REPEATS.start(partial(copy_context().run, repeat))


_send_to_queue: Final = eventbridge._dispatch_to_sqs  # once, whatever happens


def _give_up(payload: str) -> None:
    if queue := (TARGET.get().get("DeadLetterConfig") or {}).get("Arn"):
        _send_to_queue(eventbridge.parse_arn(queue), payload)


@REPAIRS.around(eventbridge, "_dispatch_to_stepfunctions", "arn", "payload")
def _to_workflow(send: Send, arn: str, payload: str, *more: Any) -> None:
    def exists() -> bool:
        return stepfunctions._resolve_state_machine_arn(str(arn)) is not None

    send_or_repeat(partial(send, arn, payload, *more), exists, payload)


@REPAIRS.around(eventbridge, "_dispatch_to_sqs", "spec", "payload")
def _to_queue(send: Send, spec: Any, payload: str, *more: Any) -> None:
    def exists() -> bool:
        return sqs._queue_by_arn(str(spec)) is not None

    send_or_repeat(partial(send, spec, payload, *more), exists, payload)


@REPAIRS.around(eventbridge, "_invoke_target", "target")
def _invoke_target(invoke: Callable[..., None], target: Target, *args: Any, **kwargs: Any) -> None:
    with during(TARGET, target):
        invoke(target, *args, **kwargs)


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


_CHANGES: Final = {
    "_put_events": {
        "        if bus_error:": "        bus_error = bus_error or _refusal(entry)\n        if bus_error:",
        "    results = []": """    if _too_large(entries):
        text = "Total size of the entries in the request is over the limit."
        return error_response_json("ValidationException", text, 400)
    results = []""",
        "_events_log_list().append(event_record)": f"""_events_log_list().append(event_record)
        del _events_log_list()[:-{EVENTS}]""",
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
REPAIRS.rewrite(eventbridge, _CHANGES, refusal, too_large)


@REPAIRS.step
def _validate_wildcards() -> None:
    eventbridge._OPERAND_VALIDATORS["wildcard"] = eventbridge._validate_wildcard
