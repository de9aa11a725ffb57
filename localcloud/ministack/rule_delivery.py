"""An event whose target cannot take it is tried again, then goes to the target's dead-letter queue.

ministack drops it, whatever `RetryPolicy` and `DeadLetterConfig` say. As on AWS, a workflow that is gone or
may not be started is not tried again; a workflow that throttles is, with exponential backoff:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
"""

import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from localcloud.ministack.errors import IncompatibleMinistackError

_ATTEMPTS: Final = 185  # AWS's defaults: 185 times in 24 hours
_AGE_S: Final = 86_400
_LONGEST_PAUSE_S: Final = 60.0


class TransientDeliveryError(Exception):
    """The target cannot take an event now."""


class PermanentDeliveryError(Exception):
    """The target will never take an event."""


def deliver(
    send: Callable[[], None], target: Mapping[str, Any], sleep: Callable[[float], None] = time.sleep
) -> bool:
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
    """Starts workflows for events, in place of ministack's own function.

    Args:
        start: ministack's function: starts a workflow by its ARN with an input.
        exists: whether there is such a workflow.
        bury: sends an event to a dead-letter queue by its ARN.
    """

    def __init__(
        self,
        start: Callable[[str, str], None],
        exists: Callable[[str], bool],
        bury: Callable[[str, str], None],
    ) -> None:
        self.target: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar(
            "target", default=None
        )
        self.before: Callable[[str], None] = lambda _payload: None
        """Called before each attempt with the event; may raise the errors above."""
        self._start, self._exists, self._bury = start, exists, bury

    def __call__(self, arn: str, payload: str) -> None:
        """Start a workflow for an event; a first attempt that fails is repeated in the background."""
        target = self.target.get() or {}
        try:
            self._try(arn, payload)
        except PermanentDeliveryError:
            self._give_up(target, payload)
        except TransientDeliveryError:
            context = contextvars.copy_context()
            threading.Thread(
                target=context.run, args=(self._repeat, arn, payload, target), daemon=True
            ).start()

    def _try(self, arn: str, payload: str) -> None:
        self.before(payload)
        if not self._exists(arn):
            raise PermanentDeliveryError(arn)
        self._start(arn, payload)

    def _repeat(self, arn: str, payload: str, target: Mapping[str, Any]) -> None:
        if not deliver(lambda: self._try(arn, payload), target):
            self._give_up(target, payload)

    def _give_up(self, target: Mapping[str, Any], payload: str) -> None:
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            self._bury(queue, payload)


def apply() -> Delivery:
    """Repair the imported ministack; return what delivers.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import eventbridge, stepfunctions  # type: ignore[import-untyped]  # noqa: PLC0415

    invoke, start = eventbridge._invoke_target, eventbridge._dispatch_to_stepfunctions  # noqa: SLF001
    if list(inspect.signature(invoke).parameters)[:1] != ["target"] or list(
        inspect.signature(start).parameters
    ) != ["arn", "payload"]:
        raise IncompatibleMinistackError("EventBridge calls targets in another way")
    delivery = Delivery(
        start,
        lambda arn: stepfunctions._resolve_state_machine_arn(arn) is not None,  # noqa: SLF001
        lambda arn, payload: eventbridge._dispatch_to_sqs(eventbridge.parse_arn(arn), payload),  # noqa: SLF001
    )

    def invoke_and_remember_target(target: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        token = delivery.target.set(target)
        try:
            invoke(target, *args, **kwargs)
        finally:
            delivery.target.reset(token)

    eventbridge._invoke_target = invoke_and_remember_target  # noqa: SLF001
    eventbridge._dispatch_to_stepfunctions = delivery  # noqa: SLF001
    return delivery
