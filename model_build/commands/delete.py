"""`model_build delete`."""

import json
import sys
from typing import Any, Final

import click

from commandline.options import Seconds, json_option
from commandline.terminal import confirm, plural, say, waiting_bar
from model_build.endpoint.aws import explained, new_session
from model_build.endpoint.deploy import Follow, delete
from model_build.endpoint.found import Found, look

DEFAULT_TIMEOUT_S: Final = 600.0
USUAL_SECONDS: Final = 60.0


@click.command()
@click.option("--endpoint-name", required=True, help="Delete it and everything deployed to it.")
@click.option(
    "--logs/--keep-logs", default=None, help="Delete its containers' logs too; asked for otherwise."
)
@click.option("--yes", is_flag=True, help="Do not ask (for scripts); keeps the logs unless --logs is given.")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=Seconds(),
    default=DEFAULT_TIMEOUT_S,
    help="How long to wait.",
)
@json_option
def command(
    endpoint_name: str, *, logs: bool | None, yes: bool, timeout_seconds: float, as_json: bool
) -> None:
    r"""Delete a SageMaker endpoint and everything that was deployed to it.

    Deletes the endpoint, its configurations, its models and its auto scaling, and if you say so the logs of
    its containers. Model archives and captured data stay in S3. Asks first.

    \b
    Example:
      scones model delete --endpoint-name scones-vehicle-classifier
    """
    session = new_session()
    if not yes:
        with explained(f"looking for endpoint {endpoint_name}"):
            logs = _confirm(look(session, endpoint_name, everything=True), logs=logs)
    with waiting_bar(f"deleting {endpoint_name}", USUAL_SECONDS) as progress:
        follow = Follow(progress, lambda text: say(f"notice: {text}"), timeout_seconds)
        deleted = delete(endpoint_name, session, follow, logs=bool(logs))
    if deleted.scaling.unknown:
        say(f"warning: auto scaling could not be read: {deleted.scaling.unknown}")
    if as_json:
        print(json.dumps(_as_json(deleted, logs=bool(logs))))
    else:
        print(_report(deleted, logs=bool(logs)))


def _confirm(found: Found, *, logs: bool | None) -> bool:
    """Ask a person; return whether to delete the logs too."""
    if not found.empty:
        confirm(f"This deletes {_describe(found)} of {found.endpoint_name}")
    if logs is None and found.log_group and sys.stdin.isatty():
        return click.confirm(f"Delete the logs in {found.log_group['logGroupName']} too?", err=True)
    return bool(logs)


def _describe(found: Found) -> str:
    parts = ["the endpoint"] if found.endpoint else []
    parts += [
        plural(len(found.configs), "endpoint configuration"),
        plural(len(found.models), "model"),
    ]
    parts += ["its auto scaling"] if found.scaling.targets else []
    return ", ".join(parts)


def _report(deleted: Found, *, logs: bool) -> str:
    name = deleted.endpoint_name
    lines = [f"{name}: {_describe(deleted)} deleted"]
    if deleted.empty:
        lines = [f"endpoint {name} does not exist; nothing to delete"]
    else:
        lines.append("archives and captured data stay in S3")
    if deleted.log_group:
        group = deleted.log_group["logGroupName"]
        kept = f"its logs stay in {group} (--logs deletes them)"
        lines.append(f"its logs in {group} were deleted" if logs else kept)
    return "; ".join(lines)


def _as_json(deleted: Found, *, logs: bool) -> dict[str, Any]:
    return {
        "endpoint_name": deleted.endpoint_name,
        "endpoint": deleted.endpoint is not None,
        "configs": deleted.configs,
        "models": deleted.models,
        "scaling": bool(deleted.scaling.targets),
        "logs": deleted.log_group["logGroupName"] if logs and deleted.log_group else None,
    }
