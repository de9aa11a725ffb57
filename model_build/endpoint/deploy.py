"""Puts a model behind a SageMaker endpoint: a new one, or a new version of one.

Plain boto3: the endpoint's control plane needs no SageMaker SDK, and the standard `AWS_*` variables say where
to.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from model_build.artifact.container_images import DEFAULT_SERVING_IMAGE, SERVING_IMAGES, serving_image
from model_build.artifact.prepare import prepare_archive
from model_build.endpoint.progress import tqdm_progress
from model_build.endpoint.requests import (
    DEFAULT_INSTANCE_TYPE,
    ApiCall,
    DeployRequest,
    EndpointRequests,
    endpoint_requests,
    version_name,
)
from model_build.endpoint.scaling import (
    Scaling,
    may_keep_scaling,
    read_scaling,
    remove_scaling,
    restore_scaling,
    retain_instance_count,
)
from model_build.endpoint.waiter import Progress, confirm_version, find_endpoint, quiet, wait_until_settled
from model_build.errors import CloudError, DeploymentError, RefusedError

if TYPE_CHECKING:
    import argparse

__all__ = ["DeployRequest", "DeployResult", "add_arguments", "deploy", "run"]

# What creating or updating an instance endpoint takes on SageMaker; only the progress bar uses it.
USUAL_SECONDS = 420.0


@dataclass(frozen=True)
class DeployResult:
    """What a deployment left behind.

    Attributes:
        endpoint_name: the endpoint, in service.
        endpoint_arn: its ARN.
        version: the name of its model and its endpoint configuration.
        model_data_url: the archive in S3.
        created: True for a new endpoint, False for a new version of one that existed.
    """

    endpoint_name: str
    endpoint_arn: str
    version: str
    model_data_url: str
    created: bool


# ---------------------------------------------------------------------------------------------- from Python


def deploy(
    request: DeployRequest,
    *,
    session: boto3.Session | None = None,
    progress: Progress = quiet,
) -> DeployResult:
    """Deploys a model and waits until it serves.

    An endpoint that exists is updated in place: the old version answers until the new one has passed its
    health check, and goes on answering when it does not.

    Args:
        request: what to deploy and how.
        session: whose account and region; None takes the standard environment and configuration.
        progress: is told the endpoint's status while it waits.

    Raises:
        RefusedError: AWS would refuse it; nothing was changed.
        DeploymentError: the new version did not come into service; `serving_config` says what still serves.
        CloudError: AWS refused a call, or the endpoint did not settle in time.
    """
    session = session or boto3.Session()
    requests = endpoint_requests(
        request, version=version_name(request.endpoint_name), region=region_of(session.region_name)
    )
    try:
        existing = _existing_endpoint(session, request, progress)
        progress("Uploading", 0.0)
        _upload(request, requests.upload, session)
        send(session, requests.create_model)
        send(session, requests.create_endpoint_config)
        if existing is None:
            send(session, requests.create_endpoint)
            endpoint = _wait(session, request, requests, progress)
        else:
            endpoint = _update(session, request, requests, existing, progress)
        for call in requests.scaling:
            send(session, call)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"deploying {request.endpoint_name} failed: {error}") from error
    return DeployResult(
        endpoint_name=request.endpoint_name,
        endpoint_arn=endpoint["EndpointArn"],
        version=endpoint["EndpointConfigName"],
        model_data_url=requests.create_model.parameters["PrimaryContainer"]["ModelDataUrl"],
        created=existing is None,
    )


def region_of(configured: str | None) -> str:
    """The region to work in.

    Raises:
        RefusedError: none is configured.
    """
    if not configured:
        raise RefusedError("no AWS region is configured: set AWS_DEFAULT_REGION, or run `aws configure`")
    return configured


def send(session: boto3.Session, call: ApiCall) -> dict[str, Any]:
    """Makes one call."""
    client: Any = session.client(call.service)  # type: ignore[call-overload]  # any service
    return dict(getattr(client, xform_name(call.operation))(**call.parameters))


def _existing_endpoint(
    session: boto3.Session, request: DeployRequest, progress: Progress
) -> dict[str, Any] | None:
    """The configuration of the endpoint that must be updated; None when one must be created."""
    name = request.endpoint_name
    endpoint = find_endpoint(session, name)
    if endpoint is None:
        return None
    status = endpoint["EndpointStatus"]
    if status == "Failed":
        # Nothing serves there, and SageMaker allows nothing but deleting it.
        send(session, ApiCall("sagemaker", "DeleteEndpoint", {"EndpointName": name}))
        wait_until_settled(session, name, timeout_seconds=request.timeout_seconds, progress=progress)
        return None
    if status != "InService":
        raise RefusedError(
            f"endpoint {name} is {status}: wait until it is in service "
            f"(`python -m model_build status --endpoint-name {name}`), or delete it"
        )
    config = session.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=endpoint["EndpointConfigName"]
    )
    variant = dict(config["ProductionVariants"][0])
    if request.serverless and "ServerlessConfig" not in variant:
        raise RefusedError(
            f"endpoint {name} runs on {variant.get('InstanceType', 'instances')}, and SageMaker can't "
            "make it serverless in place: deploy under another --endpoint-name and give the application that "
            f"name (sam deploy --parameter-overrides EndpointName=…), or first `python -m model_build delete "
            f"--endpoint-name {name}`, and nothing answers until the new one does"
        )
    return variant


def _upload(request: DeployRequest, call: ApiCall, session: boto3.Session) -> None:
    _, image = serving_image(request.image, region_of(session.region_name))
    with tempfile.TemporaryDirectory() as scratch:
        archive = prepare_archive(request.model, image, Path(scratch), session)
        session.client("s3").upload_file(str(archive), call.parameters["Bucket"], call.parameters["Key"])


def _update(
    session: boto3.Session,
    request: DeployRequest,
    requests: EndpointRequests,
    current_variant: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    update, removed = requests.update_endpoint, Scaling()
    scaling = read_scaling(session, request.endpoint_name)
    if scaling.targets and may_keep_scaling(current_variant, requests):
        update = retain_instance_count(update)
    elif scaling.targets:
        remove_scaling(session, scaling)
        removed = scaling
    try:
        send(session, update)
        return _wait(session, request, requests, progress)
    except (DeploymentError, ClientError):  # not after a timeout: the update goes on
        restore_scaling(session, removed)
        raise


def _wait(
    session: boto3.Session, request: DeployRequest, requests: EndpointRequests, progress: Progress
) -> dict[str, Any]:
    name = request.endpoint_name
    endpoint = wait_until_settled(session, name, timeout_seconds=request.timeout_seconds, progress=progress)
    version = requests.create_model.parameters["ModelName"]
    return confirm_version(session, endpoint, name=name, version=version)


# ---------------------------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `model_build deploy`."""
    parser.add_argument("--model", required=True, help="model folder, model.tar.gz, or s3:// URI of one")
    parser.add_argument("--endpoint-name", required=True, help="created, or updated in place when it exists")
    parser.add_argument(
        "--role-arn", required=True, help="the container's role; model_build/role.yaml makes one"
    )
    parser.add_argument("--bucket", required=True, help="for the model archive and captured data")
    where = parser.add_argument_group("where it runs")
    where.add_argument(
        "--instance-type", metavar="T", help=f"real-time endpoint (default {DEFAULT_INSTANCE_TYPE})"
    )
    where.add_argument("--instance-count", type=int, default=1, metavar="N", help="instances")
    where.add_argument("--max-instances", type=int, metavar="N", help="scale out to this many under load")
    where.add_argument(
        "--invocations-per-instance",
        type=int,
        default=1000,
        metavar="N",
        help="requests a minute and instance that scaling aims at",
    )
    where.add_argument(
        "--serverless-memory", type=int, metavar="MB", help="serverless endpoint instead: 1024, 2048 … 6144"
    )
    where.add_argument(
        "--serverless-concurrency", type=int, default=5, metavar="N", help="requests at a time"
    )
    parser.add_argument(
        "--capture", action="store_true", help="keep requests and answers under s3://BUCKET/capture/"
    )
    parser.add_argument("--capture-percent", type=int, default=100, metavar="P", help="share of them to keep")
    parser.add_argument(
        "--image",
        default=DEFAULT_SERVING_IMAGE,
        help=f"what serves: {', '.join(SERVING_IMAGES)} or an image URI",
    )
    parser.add_argument("--timeout", type=float, default=1800, metavar="S", help="seconds to wait")
    parser.add_argument("--dry-run", action="store_true", help="print the requests as JSON and send none")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs `model_build deploy`; returns when the version serves."""
    request = DeployRequest(
        model=args.model,
        endpoint_name=args.endpoint_name,
        role_arn=args.role_arn,
        bucket=args.bucket,
        instance_type=args.instance_type,
        instance_count=args.instance_count,
        max_instances=args.max_instances,
        invocations_per_instance=args.invocations_per_instance,
        serverless_memory_mb=args.serverless_memory,
        serverless_concurrency=args.serverless_concurrency,
        capture=args.capture,
        capture_percent=args.capture_percent,
        image=args.image,
        timeout_seconds=args.timeout,
    )
    if args.dry_run:
        return _dry_run(request)
    with tqdm_progress(f"endpoint {request.endpoint_name}", USUAL_SECONDS) as progress:
        result = deploy(request, progress=progress)
    if args.json:
        print(json.dumps(asdict(result)))
    else:
        verb = "created" if result.created else "updated"
        print(f"endpoint {result.endpoint_name} {verb}: version {result.version} is in service")
    return 0


def _dry_run(request: DeployRequest) -> int:
    region = region_of(boto3.Session().region_name)
    requests = endpoint_requests(request, version=version_name(request.endpoint_name), region=region)
    print(json.dumps(requests.as_json(), indent=2))
    return 0
