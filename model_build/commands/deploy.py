"""`model_build deploy`."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

import boto3
import click

from commandline.errors import UsageError
from commandline.options import PROBABILITY, Command, Seconds, json_option, trust_code_option
from commandline.terminal import confirm, say, waiting_bar
from model_build.archive.container_images import OWN, SERVING_IMAGES, known_image
from model_build.endpoint import application
from model_build.endpoint.aws import (
    STACK_NAME,
    ModelStack,
    find_stack,
    given_stack,
    make_stack,
    new_session,
    region_of,
    stack_call,
)
from model_build.endpoint.deploy import DEFAULT_TIMEOUT_S, Follow, Plan, plan, ready_archive, use
from model_build.endpoint.found import Found, look_serving, model_named, previous_model
from model_build.endpoint.wanted import DEFAULT_INSTANCE_TYPE, Wanted
from model_build.errors import CloudError

# What creating or updating an endpoint on instances takes on SageMaker; only the progress bar uses it.
USUAL_SECONDS: Final = 420.0


def _options(command: Command) -> Command:
    """Add what all commands that change an endpoint take."""
    for option in (
        json_option,
        click.option(
            "--dry-run", is_flag=True, help="Check everything, print the steps as JSON and take none."
        ),
        click.option("--yes", is_flag=True, help="Create and change stacks without asking."),
        click.option(
            "--timeout",
            "timeout_seconds",
            type=Seconds(),
            default=DEFAULT_TIMEOUT_S,
            help="How long to wait.",
        ),
        click.option(
            "--threshold",
            type=PROBABILITY,
            metavar="T",
            help="Let the application accept from this confidence on.  [default: as it does now]",
        ),
        click.option(
            "--application",
            "application_stack",
            default=application.STACK_NAME,
            metavar="NAME",
            help="Stack whose ClassLabels follow the model's, if it asks this endpoint; '' for none.",
        ),
    ):
        command = option(command)
    return command


@click.command()
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
def command(  # noqa: PLR0913 - one parameter per option
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
        follows = application.find_application(session, application_stack, threshold)
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
@click.option("--endpoint-name", default=Wanted.endpoint_name, help="The endpoint.")
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
@click.option("--endpoint-name", default=Wanted.endpoint_name, help="The endpoint.")
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
    follows = application.find_application(session, application_stack, threshold)
    planned = use(found, choose(found, session), session).followed_by(follows)
    if dry_run:
        _show(planned, [])
        return
    _carry_out(planned, session, timeout_seconds, yes=yes, as_json=as_json)


def _carry_out(
    planned: Plan, session: boto3.Session, timeout_seconds: float, *, yes: bool, as_json: bool
) -> None:
    if planned.changes and not yes:
        confirm(planned.application.describe(planned.changes))
    with waiting_bar(f"endpoint {planned.found.endpoint_name}", USUAL_SECONDS) as progress:
        result = planned.carry_out(session, Follow(progress, _notice, timeout_seconds))
    if as_json:
        print(json.dumps(asdict(result)))
        return
    verb = "created" if result.created else "updated"
    print(f"endpoint {result.endpoint_name} {verb}: version {result.version} is in service")
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
        _notice(notice)
    print(json.dumps([*first, *(step.call.as_json() for step in planned.steps)], indent=2))


def _notice(text: str) -> None:
    say(f"notice: {text}")
