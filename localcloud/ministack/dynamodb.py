"""DynamoDB as on AWS: a write and the condition on it are one step.

Executions write from their own threads, and ministack checks a condition before it writes: of two executions
of one photo, both could be the first, and both published its outcome.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

import functools
from collections.abc import Callable
from typing import Any, Final

from localcloud.ministack.errors import wrap

WRITES: Final = ("_put_item", "_update_item", "_delete_item", "_batch_write_item", "_transact_write_items")


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import dynamodb

    lock = dynamodb._lock  # under which expired items are removed, too

    def alone(write: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @functools.wraps(write)
        def write_alone(data: Any) -> Any:
            with lock:
                return write(data)

        return write_alone

    for name in WRITES:
        wrap(dynamodb, name, ("data",), alone)
