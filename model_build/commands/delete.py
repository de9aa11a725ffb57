"""`model_build delete`."""

import json
import sys
from typing import Any, Final

import click

from commandline.options import Seconds, json_option
from commandline.terminal import confirm, plural, say
from model_build.endpoint.delete import DEFAULT_TIMEOUT_S, delete, find
from model_build.endpoint.inventory import Inventory
from model_build.endpoint.progress import waiting_bar

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
    if not yes:
        logs = _confirm(find(endpoint_name), logs=logs)
    with waiting_bar(f"deleting {endpoint_name}", USUAL_SECONDS) as progress:
        deleted = delete(endpoint_name, logs=bool(logs), progress=progress, timeout_seconds=timeout_seconds)
    if deleted.scaling.unknown:
        say(f"warning: auto scaling could not be read: {deleted.scaling.unknown}")
    if as_json:
        print(json.dumps(_as_json(deleted, logs=bool(logs))))
    else:
        print(_report(deleted, logs=bool(logs)))


def _confirm(found: Inventory, *, logs: bool | None) -> bool:
    """Ask a person; return whether to delete the logs too."""
    if not found.empty:
        confirm(f"This deletes {_describe(found)} of {found.endpoint_name}")
    if logs is None and found.log_group and sys.stdin.isatty():
        return click.confirm(f"Delete the logs in {found.log_group} too?", err=True)
    return bool(logs)


def _describe(inventory: Inventory) -> str:
    parts = ["the endpoint"] if inventory.endpoint else []
    parts += [
        plural(len(inventory.configs), "endpoint configuration"),
        plural(len(inventory.models), "model"),
    ]
    parts += ["its auto scaling"] if inventory.scaling.targets else []
    return ", ".join(parts)


def _report(deleted: Inventory, *, logs: bool) -> str:
    name = deleted.endpoint_name
    lines = [f"{name}: {_describe(deleted)} deleted"]
    if deleted.empty:
        lines = [f"endpoint {name} does not exist; nothing to delete"]
    else:
        lines.append("archives and captured data stay in S3")
    if deleted.log_group:
        kept = f"its logs stay in {deleted.log_group} (--logs deletes them)"
        lines.append(f"its logs in {deleted.log_group} were deleted" if logs else kept)
    return "; ".join(lines)


def _as_json(deleted: Inventory, *, logs: bool) -> dict[str, Any]:
    return {
        "endpoint_name": deleted.endpoint_name,
        "endpoint": deleted.endpoint is not None,
        "configs": deleted.configs,
        "models": deleted.models,
        "scaling": bool(deleted.scaling.targets),
        "logs": deleted.log_group if logs else None,
    }
