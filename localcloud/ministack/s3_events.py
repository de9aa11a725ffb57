"""S3's events carry the object's version.

ministack knows it and leaves it out of what it sends to EventBridge; results are recorded by version.
"""

import inspect
import json
from contextvars import ContextVar
from typing import Any

from localcloud.ministack.errors import IncompatibleMinistackError


def with_version(event: dict[str, Any], version_id: str) -> dict[str, Any]:
    """Return an event of S3 with the object's version, as AWS sends it for a bucket with versions."""
    detail = json.loads(event["Detail"])
    detail["object"]["version-id"] = version_id
    return {**event, "Detail": json.dumps(detail)}


def apply() -> None:
    """Repair the imported ministack.

    Raises:
        IncompatibleMinistackError: it does not fit.
    """
    from ministack.services import eventbridge, s3  # type: ignore[import-untyped]  # noqa: PLC0415

    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event  # noqa: SLF001
    if "version_id" not in inspect.signature(fire).parameters:
        raise IncompatibleMinistackError("S3's events no longer know the object's version")
    version: ContextVar[str | None] = ContextVar("version", default=None)

    def fire_and_remember_version(*args: Any, **kwargs: Any) -> None:
        token = version.set(kwargs.get("version_id"))
        try:
            fire(*args, **kwargs)
        finally:
            version.reset(token)

    def dispatch_with_version(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        known = version.get() if event.get("Source") == "aws.s3" else None
        return dispatch(with_version(event, known) if known else event, *args, **kwargs)

    s3._fire_s3_event = fire_and_remember_version  # noqa: SLF001
    eventbridge._dispatch_event = dispatch_with_version  # noqa: SLF001
