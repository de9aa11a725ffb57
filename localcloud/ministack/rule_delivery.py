"""An event whose target cannot take it is tried again, then goes to the target's dead-letter queue.

ministack drops it, whatever `RetryPolicy` and `DeadLetterConfig` say. As on AWS, a target that is gone or
refuses is not tried again; one that throttles or fails is, with exponential backoff:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
"""

import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

_ATTEMPTS: Final = 185  # AWS's defaults: 185 times in 24 hours
_AGE_S: Final = 86_400
_LONGEST_PAUSE_S: Final = 60.0

Target = Mapping[str, Any]
Send = Callable[..., None]
"""Sends to a target's ARN an event's payload; what follows these two arguments is passed on."""


class TransientDeliveryError(Exception):
    """The target cannot take an event now."""


class PermanentDeliveryError(Exception):
    """The target will never take an event."""


def deliver(send: Callable[[], None], target: Target, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Send an event until the target takes it; return whether it did.

    Args:
        send: sends it; raises a TransientDeliveryError or a PermanentDeliveryError.
        target: of the rule, with its `RetryPolicy`.
        sleep: waits some seconds.
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
        """Return a sender whose first attempt is made at once, and others in the background.

        Args:
            send: ministack's function.
            exists: whether there is a target with that ARN.
        """

        def send_or_repeat(arn: Any, payload: str, *more: Any) -> None:
            def attempt() -> None:
                self.before(self.target.get(), payload)
                if not exists(str(arn)):
                    raise PermanentDeliveryError(str(arn))
                send(arn, payload, *more)

            def repeat() -> None:
                if not deliver(attempt, self.target.get()):
                    self._give_up(payload)

            try:
                attempt()
            except PermanentDeliveryError:
                self._give_up(payload)
            except TransientDeliveryError:
                run = contextvars.copy_context().run
                threading.Thread(target=run, args=(repeat,), daemon=True).start()

        return send_or_repeat

    def _give_up(self, payload: str) -> None:
        queue = (self.target.get().get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            self.bury(queue, payload)


DELIVERY: Final = Delivery()
"""Of this process."""


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import eventbridge, sqs, stepfunctions  # type: ignore[import-untyped]  # noqa: PLC0415

    invoke = eventbridge._invoke_target  # noqa: SLF001
    start, send = eventbridge._dispatch_to_stepfunctions, eventbridge._dispatch_to_sqs  # noqa: SLF001
    found = [list(inspect.signature(one).parameters) for one in (invoke, start, send)]
    if found[0][:1] != ["target"] or [one[:2] for one in found[1:]] != [
        ["arn", "payload"],
        ["spec", "payload"],
    ]:
        raise IncompatibleMinistackError("EventBridge calls targets in another way")
    DELIVERY.bury = lambda arn, payload: send(eventbridge.parse_arn(arn), payload)

    def invoke_and_remember_target(target: Target, *args: Any, **kwargs: Any) -> None:
        token = DELIVERY.target.set(target)
        try:
            invoke(target, *args, **kwargs)
        finally:
            DELIVERY.target.reset(token)

    eventbridge._invoke_target = invoke_and_remember_target  # noqa: SLF001
    eventbridge._dispatch_to_stepfunctions = DELIVERY.around(  # noqa: SLF001
        start,
        lambda arn: stepfunctions._resolve_state_machine_arn(arn) is not None,  # noqa: SLF001
    )
    eventbridge._dispatch_to_sqs = DELIVERY.around(  # noqa: SLF001
        send,
        lambda arn: sqs._queue_by_arn(arn) is not None,  # noqa: SLF001
    )
