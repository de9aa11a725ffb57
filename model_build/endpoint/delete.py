"""Removes an endpoint with everything that was deployed to it, so that it costs nothing any more."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from model_build.endpoint.inventory import Inventory, take_inventory
from model_build.endpoint.progress import tqdm_progress
from model_build.endpoint.scaling import remove_scaling
from model_build.endpoint.waiter import Progress, quiet, wait_until_settled
from model_build.errors import CloudError, RefusedError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "delete", "run"]

USUAL_SECONDS = 60.0


def delete(
    endpoint_name: str,
    *,
    session: boto3.Session | None = None,
    progress: Progress = quiet,
    timeout_seconds: float = 600,
) -> Inventory:
    """Deletes an endpoint, its configurations, its models and its auto scaling.

    The model archives and the captured data in S3 stay: they are the record of what was deployed and said.

    Args:
        endpoint_name: what to remove; endpoints whose names merely begin alike are left alone.
        session: whose account and region; None takes the standard environment and configuration.
        progress: is told the endpoint's status while it waits.
        timeout_seconds: how long to wait until the endpoint is gone.

    Returns:
        What existed, and was removed; empty when there was nothing.

    Raises:
        CloudError: AWS refused a call, or the endpoint did not go in time.
    """
    session = session or boto3.Session()
    try:
        inventory = take_inventory(session, endpoint_name)
        _delete(session, inventory, progress, timeout_seconds)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"deleting {endpoint_name} failed: {error}") from error
    return inventory


def _delete(session: boto3.Session, inventory: Inventory, progress: Progress, timeout_seconds: float) -> None:
    sagemaker = session.client("sagemaker")
    remove_scaling(session, inventory.scaling)
    if inventory.endpoint is not None:
        if inventory.endpoint["EndpointStatus"] != "Deleting":
            sagemaker.delete_endpoint(EndpointName=inventory.endpoint_name)
        _wait_until_gone(session, inventory.endpoint_name, progress, timeout_seconds)
    for config in inventory.configs:
        sagemaker.delete_endpoint_config(EndpointConfigName=config)
    for model in inventory.models:
        sagemaker.delete_model(ModelName=model)


def _wait_until_gone(session: boto3.Session, name: str, progress: Progress, timeout_seconds: float) -> None:
    left = wait_until_settled(session, name, timeout_seconds=timeout_seconds, progress=progress)
    if left is not None:
        raise CloudError(
            f"endpoint {name} was not deleted, it is {left['EndpointStatus']}: run the command again"
        )


def describe(inventory: Inventory) -> str:
    """What there is, as the question and the report name it."""
    parts = ["the endpoint"] if inventory.endpoint else []
    parts += [f"{len(inventory.configs)} endpoint configuration(s)", f"{len(inventory.models)} model(s)"]
    parts += ["its auto scaling"] if inventory.scaling.targets else []
    return ", ".join(parts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `model_build delete`."""
    parser.add_argument("--endpoint-name", required=True, help="remove it and all that was deployed to it")
    parser.add_argument("--yes", action="store_true", help="don't ask (for scripts)")
    parser.add_argument("--timeout", type=float, default=600, metavar="S", help="seconds to wait")
    parser.add_argument("--json", action="store_true", help="print what was removed as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `model_build delete`; returns when nothing is left."""
    name = args.endpoint_name
    if not args.yes:
        _confirm(name)
    with tqdm_progress(f"deleting {name}", USUAL_SECONDS) as progress:
        removed = delete(name, progress=progress, timeout_seconds=args.timeout)
    if removed.scaling.unknown:
        print(f"warning: auto scaling could not be read: {removed.scaling.unknown}", file=sys.stderr)
    if args.json:
        print(json.dumps(as_json(removed)))
    elif removed.empty:
        print(f"nothing named {name} exists")
    else:
        print(f"{name}: {describe(removed)} removed; archives and captured data stay in S3")
    return 0


def as_json(removed: Inventory) -> dict[str, object]:
    """What was removed, for scripts."""
    return {
        "endpoint_name": removed.endpoint_name,
        "endpoint": removed.endpoint is not None,
        "configs": removed.configs,
        "models": removed.models,
        "scaling": bool(removed.scaling.targets),
    }


def _confirm(endpoint_name: str) -> None:
    try:
        found = take_inventory(boto3.Session(), endpoint_name)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"looking for {endpoint_name} failed: {error}") from error
    if found.empty:
        return
    if not sys.stdin.isatty():
        raise RefusedError(
            f"this removes {describe(found)} of {found.endpoint_name}; give --yes to do so unasked"
        )
    print(f"This removes {describe(found)} of {found.endpoint_name}.", file=sys.stderr)
    if input("Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was removed")
