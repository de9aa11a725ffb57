"""`model_build deploy`."""

import json
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

import boto3
import click

from commandline.errors import UsageError
from commandline.options import Seconds, json_option, trust_code_option
from commandline.terminal import say, waiting_bar
from model_build.archive.container_images import OWN, SERVING_IMAGES, known_image
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
from model_build.endpoint.deploy import DEFAULT_TIMEOUT_S, Follow, Plan, plan, ready_archive
from model_build.endpoint.wanted import DEFAULT_INSTANCE_TYPE, Wanted
from model_build.errors import CloudError

# What creating or updating an endpoint on instances takes on SageMaker; only the progress bar uses it.
USUAL_SECONDS: Final = 420.0


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
@click.option(
    "--timeout", "timeout_seconds", type=Seconds(), default=DEFAULT_TIMEOUT_S, help="How long to wait."
)
@click.option("--yes", is_flag=True, help="Create the stack without asking.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the steps as JSON and take none.")
@json_option
def command(  # noqa: PLR0913 - one parameter per option
    *,
    stack_name: str,
    role_arn: str | None,
    bucket: str | None,
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
    again. An endpoint on instances costs money until it is deleted, also while nobody uses it.

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
        planned = plan(wanted, stack, archive, session, dry_run=dry_run)
        if dry_run:
            _show(planned, [] if stack.exists else [stack_call(stack_name).as_json()])
            return
        if not stack.exists:
            stack = make_stack(session, stack_name, yes=yes)
            planned = plan(wanted, stack, archive, session)
        with waiting_bar(f"endpoint {wanted.endpoint_name}", USUAL_SECONDS) as progress:
            result = planned.carry_out(session, Follow(progress, _notice, timeout_seconds))
    if as_json:
        print(json.dumps(asdict(result)))
    else:
        verb = "created" if result.created else "updated"
        print(f"endpoint {result.endpoint_name} {verb}: version {result.version} is in service")


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
