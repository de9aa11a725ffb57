"""The commands `deploy`, `use`, `rollback`, `status` and `delete`: what an endpoint serves."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import boto3
import click

from commandline.errors import UsageError
from commandline.options import PROBABILITY, Command, json_option, timeout_option, trust_code_option
from commandline.prices import HOURS_A_MONTH, instance_prices
from commandline.terminal import confirm, plural, say
from model_build.archive.container_images import OWN, SERVING_IMAGES, known_image
from model_build.endpoint.aws import (
    APPLICATION,
    STACK_NAME,
    ModelStack,
    explained,
    find_application,
    find_stack,
    given_stack,
    make_stack,
    new_session,
    region_of,
    stack_call,
)
from model_build.endpoint.deploy import (
    DEFAULT_TIMEOUT_S,
    Plan,
    delete,
    following,
    plan,
    ready_archive,
    use,
)
from model_build.endpoint.found import Found, look, look_serving, model_named, previous_model
from model_build.endpoint.wanted import DEFAULT_INSTANCE_TYPE, Wanted
from model_build.errors import CloudError

_endpoint_option = click.option("--endpoint-name", default=Wanted.endpoint_name, help="The endpoint.")


def _options(command: Command) -> Command:
    """Add what all commands that change an endpoint take."""
    for option in (
        json_option,
        click.option(
            "--dry-run", is_flag=True, help="Check everything, print the steps as JSON and take none."
        ),
        click.option("--yes", is_flag=True, help="Create and change stacks without asking."),
        timeout_option(DEFAULT_TIMEOUT_S),
        click.option(
            "--threshold",
            type=PROBABILITY,
            metavar="T",
            help="Let the application accept from this confidence on.  [default: as it does now]",
        ),
        click.option(
            "--application",
            "application_stack",
            default=APPLICATION,
            metavar="NAME",
            help="Stack whose ClassLabels follow the model's, if it asks this endpoint; '' for none.",
        ),
    ):
        command = option(command)
    return command


@click.command("deploy")
@click.option(
    "--model",
    default=Wanted.model,
    show_default="the shipped model",
    help="Model folder, model.tar.gz, or the s3:// URI of one.",
)
@click.option(
    "--endpoint-name", default=Wanted.endpoint_name, help="Created, or updated in place if it exists."
)
@click.option(
    "--stack-name",
    default=STACK_NAME,
    help="Stack of model_build/role.yaml: role, bucket and image repository. Created if it does not exist.",
)
@click.option("--role-arn", metavar="ARN", help="Role of the container, instead of the stack's.")
@click.option("--bucket", help="Bucket for archives and captured data, instead of the stack's.")
@click.option(
    "--instance-type",
    metavar="T",
    help=f"Real-time endpoint on this type.  [default: {DEFAULT_INSTANCE_TYPE}]",
)
@click.option(
    "--instance-count", type=int, default=Wanted.instance_count, metavar="N", help="Number of instances."
)
@click.option("--max-instances", type=int, metavar="N", help="Scale out to this many under load.")
@click.option(
    "--invocations-per-instance",
    type=int,
    default=Wanted.invocations_per_instance,
    metavar="N",
    help="Requests a minute and instance that scaling aims at.",
)
@click.option(
    "--serverless-memory",
    "serverless_memory_mb",
    type=int,
    metavar="MB",
    help="Serverless endpoint instead: 1024, 2048 … 6144.",
)
@click.option(
    "--serverless-concurrency",
    type=int,
    default=Wanted.serverless_concurrency,
    metavar="N",
    help="Requests that a serverless endpoint answers at a time.",
)
@click.option("--capture", is_flag=True, help="Keep requests and responses under s3://BUCKET/capture/.")
@click.option(
    "--capture-percent",
    type=int,
    default=Wanted.capture_percent,
    metavar="P",
    help="Share of them to keep.",
)
@click.option(
    "--image",
    default=Wanted.image,
    help=f"Image that serves the model: {', '.join(SERVING_IMAGES)} or an image URI.",
)
@trust_code_option
@_options
def deploy_command(  # noqa: PLR0913 - one parameter per option
    *,
    stack_name: str,
    role_arn: str | None,
    bucket: str | None,
    application_stack: str,
    threshold: float | None,
    timeout_seconds: float,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **wanted_fields: Any,
) -> None:
    r"""Deploy a model to a SageMaker endpoint, or update the endpoint to it.

    Creates the stack with role, bucket and image repository if there is none (asks first), uploads the model
    and returns once it serves. An existing endpoint is updated in place: its old version answers until the
    new one has passed its health check, and keeps answering if it does not. A version that fails is removed
    again. An endpoint on instances costs money until it is deleted, also while nobody uses it. If the model
    has other labels than the application's stack, its ClassLabels follow once the model serves (asks first).

    \b
    Example:
      scones model deploy --instance-type ml.m5.large
      scones model delete --endpoint-name scones-vehicle-classifier
    """
    wanted = Wanted(**wanted_fields)
    if (role_arn is None) != (bucket is None):
        raise UsageError("give both --role-arn and --bucket, or neither: the stack has them")
    session = new_session()
    region_of(session)
    image = known_image(wanted.image)
    with ready_archive(wanted.model, image, session, trust_code=wanted.trust_code) as archive:
        stack = _stack(session, stack_name, role_arn, bucket, own=wanted.image == OWN)
        follows = find_application(session, application_stack, threshold)
        planned = plan(wanted, stack, archive, session, dry_run=dry_run).followed_by(follows)
        if dry_run:
            _show(planned, [] if stack.exists else [stack_call(stack_name).as_json()])
            return
        if not stack.exists:
            stack = make_stack(session, stack_name, yes=yes)
            planned = plan(wanted, stack, archive, session).followed_by(follows)
        _carry_out(planned, session, timeout_seconds, yes=yes, as_json=as_json)


@click.command("use")
@click.argument("name")
@_endpoint_option
@_options
def use_command(*, endpoint_name: str, name: str, **options: Any) -> None:
    r"""Let a model answer that the endpoint has had before; `scones model list` names them.

    The endpoint keeps its settings, and the model that answers now does so until the other one has passed its
    health check. A part of the name that no other has is enough. If the model has other labels than the
    application's stack, its ClassLabels follow (asks first); so does its threshold with --threshold.

    \b
    Example:
      scones model use 20261123-101500
    """
    _change(endpoint_name, lambda found, _: model_named(name, found), **options)


@click.command("rollback")
@_endpoint_option
@_options
def rollback_command(*, endpoint_name: str, **options: Any) -> None:
    r"""Let the model answer that did so before the present one; a second time goes back to the present one.

    The same as `use` with that model's name.

    \b
    Example:
      scones model rollback
    """
    _change(endpoint_name, lambda found, session: previous_model(session, found), **options)


def _change(  # noqa: PLR0913 - one parameter per option
    endpoint_name: str,
    choose: Callable[[Found, boto3.Session], str],
    *,
    application_stack: str,
    threshold: float | None,
    timeout_seconds: float,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    session = new_session()
    region_of(session)
    found = look_serving(session, endpoint_name)
    follows = find_application(session, application_stack, threshold)
    planned = use(found, choose(found, session), session).followed_by(follows)
    if dry_run:
        _show(planned, [])
        return
    _carry_out(planned, session, timeout_seconds, yes=yes, as_json=as_json)


def _carry_out(
    planned: Plan, session: boto3.Session, timeout_seconds: float, *, yes: bool, as_json: bool
) -> None:
    endpoint, model = planned.found.endpoint_name, planned.version.model["ModelName"]
    if planned.changes and not yes:
        changes = planned.application.describe(planned.changes)
        confirm(f"This lets {model} answer at endpoint {endpoint} and {changes}")
    with following(f"endpoint {endpoint}", timeout_seconds) as follow:
        result = planned.carry_out(session, follow)
    if as_json:
        print(json.dumps(asdict(result)))
        return
    served = planned.found.variant.get("ModelName") == model
    verb = "created" if result.created else "not changed" if served else "updated"
    print(f"endpoint {endpoint} {verb}: version {model} is in service")
    for name, value in result.changed_parameters.items():
        print(f"stack {planned.application.stack_name}: {name} is {value}")


def _stack(
    session: boto3.Session, name: str, role_arn: str | None, bucket: str | None, *, own: bool
) -> ModelStack:
    if not (role_arn and bucket):
        return find_stack(session, name)
    given = given_stack(role_arn, bucket, region_of(session))
    with suppress(CloudError):  # the stack need not exist
        found = find_stack(session, name) if own else given
        return replace(given, repository=found.repository or given.repository)
    return given


def _show(planned: Plan, first: list[dict[str, Any]]) -> None:
    for notice in planned.notices:
        say(f"notice: {notice}")
    print(json.dumps([*first, *(step.call.as_json() for step in planned.steps)], indent=2))


@click.command("status")
@_endpoint_option
@json_option
def status_command(endpoint_name: str, *, as_json: bool) -> None:
    r"""Show what exists of a SageMaker endpoint, its state and its cost.

    Exits with 0 also when nothing exists.

    \b
    Example:
      scones model status --endpoint-name scones-vehicle-classifier
    """
    with explained(f"looking for endpoint {endpoint_name}"):
        found = facts(look(new_session(), endpoint_name, everything=True))
    print(json.dumps(found) if as_json else as_text(found))


def facts(found: Found) -> dict[str, Any]:
    """Return the status as --json prints it."""
    endpoint, targets = found.endpoint or {}, found.scaling.targets
    running = (endpoint.get("ProductionVariants") or [{}])[0]
    instances = running.get("CurrentInstanceCount", found.variant.get("InitialInstanceCount", 0))
    return {
        "endpoint_name": found.endpoint_name,
        "status": found.status,
        "failure_reason": endpoint.get("FailureReason"),
        "serving": found.variant.get("ModelName"),
        "instance_type": found.variant.get("InstanceType"),
        "instances": instances,
        "serverless_memory_mb": found.variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
        "capture": bool((endpoint.get("DataCaptureConfig") or {}).get("EnableCapture")),
        "scaling": (targets[0]["MinCapacity"], targets[0]["MaxCapacity"]) if targets else None,
        "scaling_unknown": found.scaling.unknown or None,
        "labels": found.labels,
        "log_group": found.log_group and found.log_group["logGroupName"],
        "usd_an_hour": idle_usd_an_hour(found, instances),
        "versions": found.configs,
        "models": found.models,
    }


def idle_usd_an_hour(found: Found, instances: int) -> float | None:
    """Return the cost without any request in US dollars; None when the instance type's price is not known."""
    if found.endpoint is None or "ServerlessConfig" in found.variant:
        return 0.0  # models and configurations cost nothing
    price = instance_prices().prices.get(found.variant.get("InstanceType", ""))
    return None if price is None else price.usd * instances


def as_text(found: dict[str, Any]) -> str:
    """Return the status as lines for a person."""
    if found["status"] is None:
        return f"endpoint {found['endpoint_name']} does not exist{_left_over(found)}"
    lines = [
        f"endpoint {found['endpoint_name']}: {found['status']}",
        f"  serves      {found['serving']}",
        f"  runs on     {_runs_on(found)}",
        f"  capture     {'on' if found['capture'] else 'off'}",
        f"  versions    {len(found['versions'])}",
        f"  labels      {', '.join(found['labels'] or ()) or 'unknown'}",
        f"  logs        {found['log_group'] or 'none'}",
        f"  costs       {_costs(found)}",
    ]
    if found["failure_reason"]:
        lines.insert(1, f"  reason      {found['failure_reason']}")
    return "\n".join(lines)


def _left_over(found: dict[str, Any]) -> str:
    left = []
    if found["versions"] or found["models"]:
        left.append(plural(len(found["versions"]), "endpoint configuration"))
        left.append(plural(len(found["models"]), "model"))
    if found["log_group"]:
        left.append(f"the log group {found['log_group']}")
    return f"; left over: {', '.join(left)} (`scones model delete` deletes them)" if left else ""


def _runs_on(found: dict[str, Any]) -> str:
    if found["serverless_memory_mb"]:
        return f"serverless, {found['serverless_memory_mb']} MB"
    text = f"{found['instances']} x {found['instance_type']}"
    if found["scaling"]:
        text += f" (scales from {found['scaling'][0]} to {found['scaling'][1]})"
    elif found["scaling_unknown"]:
        text += f" (auto scaling can't be read: {found['scaling_unknown']})"
    return text


def _costs(found: dict[str, Any]) -> str:
    prices = instance_prices()
    note = f"{prices.region}, list prices of {prices.date}"
    if found["serverless_memory_mb"]:
        return f"nothing while idle ({note})"
    if found["usd_an_hour"] is None:
        return f"unknown: prices.json has no price for {found['instance_type']}"
    month = found["usd_an_hour"] * HOURS_A_MONTH
    return f"${found['usd_an_hour']:.3f} an hour, ${month:.2f} a month ({note})"


@click.command("delete")
@click.option("--endpoint-name", required=True, help="Delete it and everything deployed to it.")
@click.option(
    "--logs/--keep-logs", default=None, help="Delete its containers' logs too; asked for otherwise."
)
@click.option("--yes", is_flag=True, help="Do not ask (for scripts); keeps the logs unless --logs is given.")
@timeout_option(600.0)
@json_option
def delete_command(
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
    with following(f"deleting {endpoint_name}", timeout_seconds, usual=60.0) as follow:
        deleted = delete(endpoint_name, session, follow, logs=bool(logs))
    if deleted.scaling.unknown:
        say(f"warning: auto scaling could not be read: {deleted.scaling.unknown}")
    if as_json:
        print(json.dumps(_deleted_json(deleted, logs=bool(logs))))
    else:
        print(_report_deleted(deleted, logs=bool(logs)))


def _confirm(found: Found, *, logs: bool | None) -> bool:
    """Ask a person; return whether to delete the logs too."""
    if not found.empty:
        confirm(f"This deletes {_describe_found(found)} of {found.endpoint_name}")
    if logs is None and found.log_group and sys.stdin.isatty():
        return click.confirm(f"Delete the logs in {found.log_group['logGroupName']} too?", err=True)
    return bool(logs)


def _describe_found(found: Found) -> str:
    parts = ["the endpoint"] if found.endpoint else []
    parts += [
        plural(len(found.configs), "endpoint configuration"),
        plural(len(found.models), "model"),
    ]
    parts += ["its auto scaling"] if found.scaling.targets else []
    return ", ".join(parts)


def _report_deleted(deleted: Found, *, logs: bool) -> str:
    name = deleted.endpoint_name
    lines = [f"{name}: {_describe_found(deleted)} deleted"]
    if deleted.empty:
        lines = [f"endpoint {name} does not exist; nothing to delete"]
    else:
        lines.append("archives and captured data stay in S3")
    if deleted.log_group:
        group = deleted.log_group["logGroupName"]
        kept = f"its logs stay in {group} (--logs deletes them)"
        lines.append(f"its logs in {group} were deleted" if logs else kept)
    return "; ".join(lines)


def _deleted_json(deleted: Found, *, logs: bool) -> dict[str, Any]:
    return {
        "endpoint_name": deleted.endpoint_name,
        "endpoint": deleted.endpoint is not None,
        "configs": deleted.configs,
        "models": deleted.models,
        "scaling": bool(deleted.scaling.targets),
        "logs": deleted.log_group["logGroupName"] if logs and deleted.log_group else None,
    }
