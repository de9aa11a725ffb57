"""What a check of an account or a deployment answers, how it asks AWS, and how it is shown."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import boto3
import click
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import one_line
from commandline.errors import CommandError
from commandline.terminal import has_colour, plural, visible

ACCESS_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
)
NOT_OFFERED: Final = frozenset(
    {"InvalidAction", "UnknownOperationException", "UnsupportedOperation", "NotImplemented"}
    | {"404", "405", "501"}
)


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # it could not be asked


_COLOURS: Final = {Status.OK: "green", Status.WRONG: "red", Status.UNKNOWN: "yellow"}


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    status: Status
    detail: str  # what was found, or why it could not be asked
    advice: str = ""  # empty if there is nothing to do


def ok(name: str, detail: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check(name, Status.OK, detail)


def wrong(name: str, detail: str, advice: str) -> Check:
    """Return a check that found something to mend."""
    return Check(name, Status.WRONG, detail, advice)


def unknown(name: str, detail: str) -> Check:
    """Return a check that could not be made."""
    return Check(name, Status.UNKNOWN, detail)


class UnansweredError(Exception):
    """AWS did not answer a question; the message is the reason, such as a missing permission."""


def ask(session: boto3.Session, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
    """Make one read-only call: `ask(session, "stepfunctions", "DescribeExecution", executionArn=…)`.

    UnansweredError if the call is not permitted or not offered, or AWS could not be reached; ClientError if
    AWS's answer about what was asked is one.
    """
    client: Any = session.client(service)  # type: ignore[call-overload]  # the name is not a literal
    try:
        return dict(getattr(client, xform_name(operation))(**parameters))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ACCESS_DENIED:
            permission = f"{client.meta.service_model.signing_name}:{operation}"
            raise UnansweredError(f"the permission {permission} is missing") from error
        if code in NOT_OFFERED or not error.response.get("Error", {}).get("Message"):  # an emulator's
            raise UnansweredError(f"this endpoint does not offer {operation} ({code})") from error
        raise
    except (BotoCoreError, ValueError) as error:  # ValueError: an emulator's answer is not AWS's
        raise UnansweredError(f"{type(error).__name__}: {error}") from error


def run_checks(*checks: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """Make the checks one after the other; one that cannot be asked does not end the others."""
    for check in checks:
        name = getattr(check, "func", check).__name__.replace("_", " ")  # of a partial, its function's
        try:
            yield from check()
        except ClientError as error:
            reason = error.response.get("Error", {})
            yield unknown(name, one_line(f"{reason.get('Code')}: {reason.get('Message')}"))
        except (UnansweredError, BotoCoreError, CommandError) as error:
            yield unknown(name, one_line(str(error)))


def report(checks: Iterable[Check], *, as_json: bool) -> int:
    """Print checks as they are made, and how many ended how; return the exit code."""
    counts = dict.fromkeys(Status, 0)
    for check in checks:
        counts[check.status] += 1
        if as_json:
            line = json.dumps(asdict(check))
        else:
            word = f"{check.status:<8}"
            word = click.style(word, fg=_COLOURS[check.status]) if has_colour(sys.stdout) else word
            line = f"{word} {check.name}: {visible(check.detail)}"
            line += f"\n{'':<8} -> {visible(check.advice)}" if check.advice else ""
        print(line, flush=True)
    if as_json:
        print(json.dumps({"summary": counts}))
    else:
        counted = ", ".join(f"{count} {status}" for status, count in counts.items())
        print(f"\n{plural(sum(counts.values()), 'check')}: {counted}")
    return 1 if counts[Status.WRONG] else 0
