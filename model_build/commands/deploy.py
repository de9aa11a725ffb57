"""`model_build deploy`."""

import json
from dataclasses import asdict
from typing import Any, Final

import click

from commandline.options import Seconds, json_option
from commandline.terminal import say
from model_build.artifact.container_images import SERVING_IMAGES
from model_build.endpoint.deploy import DEFAULT_TIMEOUT_S, deploy, plan_only
from model_build.endpoint.progress import waiting_bar
from model_build.endpoint.requests import DEFAULT_INSTANCE_TYPE, DeployRequest

# What creating or updating an endpoint on instances takes on SageMaker; only the progress bar uses it.
USUAL_SECONDS: Final = 420.0


@click.command()
@click.option("--model", required=True, help="Model folder, model.tar.gz, or the s3:// URI of one.")
@click.option("--endpoint-name", required=True, help="Created, or updated in place if it exists.")
@click.option("--role-arn", required=True, help="Role of the container; model_build/role.yaml makes one.")
@click.option("--bucket", required=True, help="Bucket for the model archive and captured data.")
@click.option(
    "--instance-type",
    metavar="T",
    help=f"Real-time endpoint on this type.  [default: {DEFAULT_INSTANCE_TYPE}]",
)
@click.option(
    "--instance-count",
    type=int,
    default=DeployRequest.instance_count,
    metavar="N",
    help="Number of instances.",
)
@click.option("--max-instances", type=int, metavar="N", help="Scale out to this many under load.")
@click.option(
    "--invocations-per-instance",
    type=int,
    default=DeployRequest.invocations_per_instance,
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
    default=DeployRequest.serverless_concurrency,
    metavar="N",
    help="Requests that a serverless endpoint answers at a time.",
)
@click.option("--capture", is_flag=True, help="Keep requests and responses under s3://BUCKET/capture/.")
@click.option(
    "--capture-percent",
    type=int,
    default=DeployRequest.capture_percent,
    metavar="P",
    help="Share of them to keep.",
)
@click.option(
    "--image",
    default=DeployRequest.image,
    help=f"Image that serves the model: {', '.join(SERVING_IMAGES)} or an image URI.",
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=Seconds(),
    default=DEFAULT_TIMEOUT_S,
    help="How long to wait.",
)
@click.option("--dry-run", is_flag=True, help="Print the requests as JSON and send none.")
@json_option
def command(*, timeout_seconds: float, dry_run: bool, as_json: bool, **asked: Any) -> None:
    r"""Deploy a model to a SageMaker endpoint, or update the endpoint to it.

    Returns once the new version serves. An existing endpoint is updated in place: its old version answers
    until the new one has passed its health check, and keeps answering if it does not. A version that fails
    is removed again. An endpoint on instances costs money until it is deleted, also while nobody uses it.

    \b
    Example:
      scones model deploy --model model_build/default_model \
          --endpoint-name scones-vehicle-classifier --role-arn <RoleArn> --bucket <BucketName> \
          --instance-type ml.m5.large
      scones model delete --endpoint-name scones-vehicle-classifier
    """
    request = DeployRequest(**asked)
    if dry_run:
        print(json.dumps(plan_only(request).as_json(), indent=2))
        return
    with waiting_bar(f"endpoint {request.endpoint_name}", USUAL_SECONDS) as progress:
        result = deploy(
            request,
            progress=progress,
            notice=lambda text: say(f"notice: {text}"),
            timeout_seconds=timeout_seconds,
        )
    if as_json:
        print(json.dumps(asdict(result)))
    else:
        verb = "created" if result.created else "updated"
        print(f"endpoint {result.endpoint_name} {verb}: version {result.version} is in service")
