"""`model_build delete`."""

import json
import sys
from typing import Any, Final

import click

from commandline.options import json_option
from commandline.terminal import plural, say
from model_build.endpoint.delete import DEFAULT_TIMEOUT_S, delete, find
from model_build.endpoint.inventory import Inventory
from model_build.endpoint.progress import waiting_bar
from model_build.errors import RefusedError

USUAL_SECONDS: Final = 60.0


@click.command()
@click.option("--endpoint-name", required=True, help="Delete it and everything deployed to it.")
@click.option("--yes", is_flag=True, help="Do not ask (for scripts).")
@click.option(
    "--timeout",
    "timeout_seconds",
    type=float,
    default=DEFAULT_TIMEOUT_S,
    metavar="S",
    help="Seconds to wait.",
)
@json_option
def command(endpoint_name: str, *, yes: bool, timeout_seconds: float, as_json: bool) -> None:
    r"""Delete a SageMaker endpoint and everything that was deployed to it.

    Deletes the endpoint, its configurations, its models and its auto scaling. Model archives and captured
    data stay in S3. Asks first.

    \b
    Example:
      python -m model_build delete --endpoint-name scones-vehicle-classifier
    """
    if not yes:
        _confirm(find(endpoint_name))
    with waiting_bar(f"deleting {endpoint_name}", USUAL_SECONDS) as progress:
        deleted = delete(endpoint_name, progress=progress, timeout_seconds=timeout_seconds)
    if deleted.scaling.unknown:
        say(f"warning: auto scaling could not be read: {deleted.scaling.unknown}")
    if as_json:
        print(json.dumps(_as_json(deleted)))
    elif deleted.empty:
        print(f"endpoint {endpoint_name} does not exist; nothing to delete")
    else:
        print(f"{endpoint_name}: {_describe(deleted)} deleted; archives and captured data stay in S3")


def _confirm(found: Inventory) -> None:
    if found.empty:
        return
    what = f"{_describe(found)} of {found.endpoint_name}"
    if not sys.stdin.isatty():
        raise RefusedError(f"this deletes {what}; give --yes to do so without being asked")
    if not click.confirm(f"This deletes {what}. Continue?", err=True):
        raise RefusedError("nothing was deleted")


def _describe(inventory: Inventory) -> str:
    parts = ["the endpoint"] if inventory.endpoint else []
    parts += [
        plural(len(inventory.configs), "endpoint configuration"),
        plural(len(inventory.models), "model"),
    ]
    parts += ["its auto scaling"] if inventory.scaling.targets else []
    return ", ".join(parts)


def _as_json(deleted: Inventory) -> dict[str, Any]:
    return {
        "endpoint_name": deleted.endpoint_name,
        "endpoint": deleted.endpoint is not None,
        "configs": deleted.configs,
        "models": deleted.models,
        "scaling": bool(deleted.scaling.targets),
    }
