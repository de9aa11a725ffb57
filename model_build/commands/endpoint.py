"""The commands `deploy`, `use`, `rollback`, `status` and `delete`: what an endpoint serves."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import click

from commandline.aws import Session, open_session
from commandline.errors import UsageError
from commandline.options import POSITIVE, PROBABILITY, Command, json_option, timeout_option, trust_code_option
from commandline.prices import HOURS_A_MONTH, REGION, instance_prices, oldest
from commandline.terminal import confirm, plural, say
from model_build.archive.container_images import OWN, SERVING_IMAGES, known_image
from model_build.endpoint import aws
from model_build.endpoint.deploy import DEFAULT_TIMEOUT_S, Plan, delete, plan, ready_archive, use
from model_build.endpoint.found import Found, look, look_serving, model_named, previous_model
from model_build.endpoint.steps import DEFAULT_INSTANCE_TYPE, Wanted
from model_build.errors import CloudError

_endpoint_option = click.option("--endpoint-name", default=Wanted.endpoint_name, help="The endpoint.")


def _options(command: Command) -> Command:
    """Add what all commands that change an endpoint take."""
    for option in (
        json_option,
        click.option("--dry-run", is_flag=True, help="Check everything, print the steps as JSON, take none."),
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
            default=aws.APPLICATION,
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
    default=aws.STACK_NAME,
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
    "invocations_per_instance", "Requests a minute and instance to scale for.", type=POSITIVE, metavar="N"
)
@_setting(
    "serverless_memory_mb",
    "Serverless instead: 1024, 2048 … 6144.",
    "--serverless-memory",
    type=int,
    metavar="MB",
)
@_setting(
    "serverless_concurrency", "Serverless requests at a time.", type=click.IntRange(1, 200), metavar="N"
)
@_setting("capture", "Keep requests and responses under s3://BUCKET/capture/.", is_flag=True)
@_setting("capture_percent", "Share of them to keep.", type=click.IntRange(1, 100), metavar="P")
@_setting("image", f"Image that serves the model: {', '.join(SERVING_IMAGES)} or an image URI.")
@trust_code_option
@_options
def deploy_command(
    *,
    stack_name: str,
    role_arn: str | None,
    bucket: str | None,
    application_stack: str,
    threshold: float | None,
    **given: Any,
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
    how = {name: given.pop(name) for name in ("timeout_seconds", "yes", "dry_run", "as_json")}
    wanted = Wanted(**given)
    if (role_arn is None) != (bucket is None):
        raise UsageError("give both --role-arn and --bucket, or neither: the stack has them")
    session, image = open_session(), known_image(wanted.image)
    with ready_archive(wanted.model, image, session, trust_code=wanted.trust_code) as archive:
        if role_arn and bucket:
            stack = aws.given_stack(role_arn, bucket, str(session.region_name))
            with suppress(CloudError):  # the stack, which has the image's repository, need not exist
                if wanted.image == OWN and (found := aws.find_stack(session, stack_name)).exists:
                    stack = replace(stack, repository=found.repository)
        else:
            stack = aws.find_stack(session, stack_name)
        follows = aws.find_application(session, application_stack, threshold)
        planned = plan(wanted, stack, archive, session, follows)
        missing = [] if stack.exists else [aws.stack_call(stack_name)]
        if missing and not how["dry_run"]:
            stack = aws.make_stack(session, stack_name, yes=how["yes"])
            planned = plan(wanted, stack, archive, session, follows)
        _carry_out(planned, session, missing, **how)


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


def _change(
    endpoint_name: str,
    choose: Callable[[Found, Session], str],
    *,
    application_stack: str,
    threshold: float | None,
    **how: Any,
) -> None:
    session = open_session()
    found = look_serving(session, endpoint_name)
    follows = aws.find_application(session, application_stack, threshold)
    _carry_out(use(found, choose(found, session), session, follows), session, **how)


def _carry_out(  # noqa: PLR0913 - one parameter per option
    planned: Plan,
    session: Session,
    missing: Sequence[aws.ApiCall] = (),
    *,
    timeout_seconds: float,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show the steps, behind what is missing for them, or take them and print what serves."""
    endpoint, model, stack = planned.found, planned.version.model["ModelName"], planned.application
    name = endpoint.endpoint_name
    if dry_run:
        for notice in planned.notices:
            say(f"notice: {notice}")
        calls = [*missing, *(step.call for step in planned.steps)]
        print(json.dumps([asdict(call) for call in calls], indent=2))
        return
    if planned.changes and not yes:
        changes = (f"{one} from {stack.parameters.get(one)} to {to}" for one, to in planned.changes.items())
        change = f"changes {' and '.join(changes)} in the stack {stack.name}"
        confirm(f"This lets {model} answer at endpoint {name} and {change}")
    result = planned.carry_out(session, timeout_seconds)
    if as_json:
        print(json.dumps(asdict(result)))
        return
    same = endpoint.variant.get("ModelName") == model
    verb = "created" if result.created else "not changed" if same else "updated"
    print(f"endpoint {name} {verb}: version {model} is in service")
    for parameter, value in result.changed_parameters.items():
        print(f"stack {stack.name}: {parameter} is {value}")


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
    found = look(open_session(), endpoint_name)
    if as_json:
        print(json.dumps(facts(found)))
    elif found.endpoint:
        print(as_text(facts(found)))
    else:
        left = [] if found.empty else [_parts(found)]
        left += [f"the log group {found.log_group['logGroupName']}"] if found.log_group else []
        over = f"; left over: {', '.join(left)} (`scones model delete` deletes them)" if left else ""
        print(f"endpoint {endpoint_name} does not exist{over}")


def facts(found: Found) -> dict[str, Any]:
    """Return the status as --json prints it; `usd_an_hour` without any request, None if it is not known."""
    endpoint, variant, targets = found.endpoint or {}, found.variant, found.scaling.targets
    running = (endpoint.get("ProductionVariants") or [{}])[0]
    instances = running.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 0))
    price = instance_prices().get(variant.get("InstanceType", ""))
    free = found.endpoint is None or "ServerlessConfig" in variant  # models and configurations cost nothing
    return {
        "endpoint_name": found.endpoint_name,
        "status": found.status,
        "failure_reason": endpoint.get("FailureReason"),
        "serving": variant.get("ModelName"),
        "instance_type": variant.get("InstanceType"),
        "instances": instances,
        "serverless_memory_mb": variant.get("ServerlessConfig", {}).get("MemorySizeInMB"),
        "capture": bool((endpoint.get("DataCaptureConfig") or {}).get("EnableCapture")),
        "scaling": (targets[0]["MinCapacity"], targets[0]["MaxCapacity"]) if targets else None,
        "scaling_unknown": found.scaling.unknown or None,
        "labels": found.labels,
        "log_group": found.log_group and found.log_group["logGroupName"],
        "usd_an_hour": 0.0 if free else None if price is None else price.usd * instances,
        "versions": found.configs,
        "models": found.models,
    }


def as_text(found: dict[str, Any]) -> str:
    """Return the status of an endpoint that exists as lines for a person."""
    usd, scaling = found["usd_an_hour"], found["scaling"]
    note = f"{REGION}, list prices of {oldest(instance_prices())}"
    if found["serverless_memory_mb"]:
        runs_on, costs = f"serverless, {found['serverless_memory_mb']} MB", f"nothing while idle ({note})"
    else:
        runs_on = f"{found['instances']} x {found['instance_type']}"
        costs = f"unknown: prices.json has no price for {found['instance_type']}"
        if usd is not None:
            costs = f"${usd:.3f} an hour, ${usd * HOURS_A_MONTH:.2f} a month ({note})"
        if scaling:
            runs_on += f" (scales from {scaling[0]} to {scaling[1]})"
        elif found["scaling_unknown"]:
            runs_on += f" (auto scaling can't be read: {found['scaling_unknown']})"
    lines = {
        "reason": found["failure_reason"],
        "serves": found["serving"],
        "runs on": runs_on,
        "capture": "on" if found["capture"] else "off",
        "versions": len(found["versions"]),
        "labels": ", ".join(found["labels"] or ()) or "unknown",
        "logs": found["log_group"] or "none",
        "costs": costs,
    }
    if not found["failure_reason"]:
        del lines["reason"]
    rows = [f"  {name:12}{value}" for name, value in lines.items()]
    return "\n".join([f"endpoint {found['endpoint_name']}: {found['status']}", *rows])


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
    session = open_session()
    found = look(session, endpoint_name)
    group = found.log_group["logGroupName"] if found.log_group else None
    if not (yes or found.empty):
        confirm(f"This deletes {_parts(found)} of {endpoint_name}")
    if not yes and logs is None and group and sys.stdin.isatty():
        logs = click.confirm(f"Delete the logs in {group} too?", err=True)
    delete(found, session, timeout_seconds, logs=bool(logs))
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
        return
    fate = (
        f"; its logs in {group} were deleted" if logs else f"; its logs stay in {group} (--logs deletes them)"
    )
    if found.empty:
        done = f"endpoint {endpoint_name} does not exist; nothing to delete"
    else:
        done = f"{endpoint_name}: {_parts(found)} deleted; archives and captured data stay in S3"
    print(f"{done}{fate if group else ''}")


def _parts(found: Found) -> str:
    """Return what exists of an endpoint, logs apart, in words."""
    parts = ["the endpoint"] if found.endpoint else []
    parts += [plural(len(found.configs), "endpoint configuration"), plural(len(found.models), "model")]
    parts += ["its auto scaling"] if found.scaling.targets else []
    return ", ".join(parts)
