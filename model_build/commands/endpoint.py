"""The commands `deploy`, `use`, `rollback`, `status` and `delete`: what an endpoint serves."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import boto3
import click

from commandline.errors import UsageError
from commandline.options import (
    POSITIVE,
    PROBABILITY,
    Command,
    json_option,
    timeout_option,
    trust_code_option,
)
from commandline.prices import HOURS_A_MONTH, instance_prices
from commandline.terminal import confirm, plural, say
from model_build.archive.container_images import OWN, SERVING_IMAGES, known_image
from model_build.endpoint.aws import (
    APPLICATION,
    STACK_NAME,
    ApiCall,
    ModelStack,
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


def _setting(field: str, text: str, option: str = "", **more: Any) -> Callable[[Command], Command]:
    """Return the option of a field of `Wanted`, with its default."""
    name = option or f"--{field.replace('_', '-')}"
    return click.option(name, field, default=getattr(Wanted, field), help=text, **more)


@click.command("deploy")
@_setting("model", "Model folder, model.tar.gz, or the s3:// URI of one.", show_default="the shipped model")
@_setting("endpoint_name", "Created, or updated in place if it exists.")
@click.option(
    "--stack-name",
    default=STACK_NAME,
    help="Stack of model_build/role.yaml: role, bucket and image repository. Created if it does not exist.",
)
@click.option("--role-arn", metavar="ARN", help="Role of the container, instead of the stack's.")
@click.option("--bucket", help="Bucket for archives and captured data, instead of the stack's.")
@_setting(
    "instance_type", f"Real-time endpoint on this type.  [default: {DEFAULT_INSTANCE_TYPE}]", metavar="T"
)
@_setting("instance_count", "Number of instances.", type=int, metavar="N")
@_setting("max_instances", "Scale out to this many under load.", type=int, metavar="N")
@_setting(
    "invocations_per_instance",
    "Requests a minute and instance that scaling aims at.",
    type=POSITIVE,
    metavar="N",
)
@_setting(
    "serverless_memory_mb",
    "Serverless endpoint instead: 1024, 2048 … 6144.",
    "--serverless-memory",
    type=int,
    metavar="MB",
)
@_setting(
    "serverless_concurrency",
    "Requests that a serverless endpoint answers at a time.",
    type=click.IntRange(1, 200),
    metavar="N",
)
@_setting("capture", "Keep requests and responses under s3://BUCKET/capture/.", is_flag=True)
@_setting("capture_percent", "Share of them to keep.", type=click.IntRange(1, 100), metavar="P")
@_setting("image", f"Image that serves the model: {', '.join(SERVING_IMAGES)} or an image URI.")
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
    **fields: Any,
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
    wanted = Wanted(**fields)
    if (role_arn is None) != (bucket is None):
        raise UsageError("give both --role-arn and --bucket, or neither: the stack has them")
    session = new_session()
    region_of(session)
    image = known_image(wanted.image)
    with ready_archive(wanted.model, image, session, trust_code=wanted.trust_code) as archive:
        stack = _stack(session, stack_name, role_arn, bucket, own=wanted.image == OWN)
        follows = find_application(session, application_stack, threshold)
        planned = plan(wanted, stack, archive, session, follows)
        if not (stack.exists or dry_run):
            stack = make_stack(session, stack_name, yes=yes)
            planned = plan(wanted, stack, archive, session, follows)
        if dry_run:
            _show(planned, [] if stack.exists else [stack_call(stack_name)])
        else:
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
    planned = use(found, choose(found, session), session, follows)
    if dry_run:
        _show(planned)
    else:
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


def _show(planned: Plan, first: Sequence[ApiCall] = ()) -> None:
    for notice in planned.notices:
        say(f"notice: {notice}")
    calls = [*first, *(step.call for step in planned.steps)]
    print(json.dumps([asdict(call) for call in calls], indent=2))


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
    found = look(new_session(), endpoint_name)
    if as_json:
        print(json.dumps(facts(found)))
    elif found.endpoint:
        print(as_text(facts(found)))
    else:
        print(f"endpoint {endpoint_name} does not exist{_left_over(found)}")


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
    """Return the status of an endpoint that exists as lines for a person."""
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


def _left_over(found: Found) -> str:
    left = [] if found.empty else [_parts(found)]
    if found.log_group:
        left.append(f"the log group {found.log_group['logGroupName']}")
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
    found = look(session, endpoint_name)
    group = found.log_group["logGroupName"] if found.log_group else None
    if not (yes or found.empty):
        confirm(f"This deletes {_parts(found)} of {endpoint_name}")
    if not yes and logs is None and group and sys.stdin.isatty():
        logs = click.confirm(f"Delete the logs in {group} too?", err=True)
    with following(f"deleting {endpoint_name}", timeout_seconds, usual=60.0) as follow:
        delete(found, session, follow, logs=bool(logs))
    if found.scaling.unknown:
        say(f"warning: auto scaling could not be read: {found.scaling.unknown}")
    if as_json:
        deleted = {
            "endpoint_name": endpoint_name,
            "endpoint": found.endpoint is not None,
            "configs": found.configs,
            "models": found.models,
            "scaling": bool(found.scaling.targets),
            "logs": group if logs else None,
        }
        print(json.dumps(deleted))
    elif found.empty:
        print(f"endpoint {endpoint_name} does not exist; nothing to delete{_fate_of_logs(group, logs)}")
    else:
        kept = f"archives and captured data stay in S3{_fate_of_logs(group, logs)}"
        print(f"{endpoint_name}: {_parts(found)} deleted; {kept}")


def _fate_of_logs(group: str | None, deleted: bool | None) -> str:
    if group is None:
        return ""
    if deleted:
        return f"; its logs in {group} were deleted"
    return f"; its logs stay in {group} (--logs deletes them)"


def _parts(found: Found) -> str:
    """Return what exists of an endpoint, logs apart, in words."""
    parts = ["the endpoint"] if found.endpoint else []
    parts += [plural(len(found.configs), "endpoint configuration"), plural(len(found.models), "model")]
    parts += ["its auto scaling"] if found.scaling.targets else []
    return ", ".join(parts)
