"""Deploy a model to a SageMaker endpoint: a new one, or a new version of one.

Plain boto3: the endpoint's control plane needs no SageMaker SDK, and the standard `AWS_*` variables select
account and region.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from model_build.artifact.container_images import serving_image
from model_build.artifact.prepare import prepare_archive
from model_build.endpoint.aws import ApiCall, find_endpoint, region_of, send
from model_build.endpoint.plan import DeploymentPlan, plan_deployment
from model_build.endpoint.progress import Progress, quiet
from model_build.endpoint.requests import DeployRequest
from model_build.endpoint.scaling import (
    Scaling,
    read_scaling,
    remove_scaling,
    restore_scaling,
    retain_instance_count,
)
from model_build.endpoint.versions import version_name
from model_build.endpoint.waiter import confirm_version, wait_until_settled
from model_build.errors import CloudError, DeploymentError, RefusedError

__all__ = ["DeployRequest", "DeployResult", "deploy", "plan_only"]

DEFAULT_TIMEOUT_S: Final = 1800.0
Settle = Callable[[], dict[str, Any] | None]


@dataclass(frozen=True)
class DeployResult:
    """What a deployment left behind. `model_build deploy --json` prints these fields.

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


def plan_only(request: DeployRequest, *, session: boto3.Session | None = None) -> DeploymentPlan:
    """Return the calls that `deploy` would make, without making any.

    Raises:
        RefusedError: AWS would refuse it, or no region is configured.
    """
    region = region_of(session or boto3.Session())
    return plan_deployment(request, version=version_name(request.endpoint_name), region=region)


def deploy(
    request: DeployRequest,
    *,
    session: boto3.Session | None = None,
    progress: Progress = quiet,
    timeout_seconds: float = DEFAULT_TIMEOUT_S,
) -> DeployResult:
    """Deploy a model and wait until it serves.

    An endpoint that exists is updated in place: the old version answers until the new one has passed its
    health check, and keeps answering if it does not.

    Args:
        request: what to deploy and how.
        session: account and region; None takes the standard environment and configuration.
        progress: is told the endpoint's status while it waits.
        timeout_seconds: how long to wait for the endpoint.

    Raises:
        RefusedError: AWS would refuse it; nothing was changed.
        DeploymentError: the new version did not come into service; `serving_config` says what still serves.
        CloudError: AWS refused a call, or the endpoint did not settle in time.
    """
    session = session or boto3.Session()
    name = request.endpoint_name
    plan = plan_only(request, session=session)
    settle = partial(wait_until_settled, session, name, timeout_seconds=timeout_seconds, progress=progress)
    try:
        serving = _serving_variant(session, name, settle)
        if serving is not None and request.serverless:
            _refuse_serverless_update(name, serving)
        progress("Uploading", 0.0)
        _upload(session, request.model, request.image, plan.upload)
        send(session, plan.create_model)
        send(session, plan.create_endpoint_config)
        if serving is None:
            send(session, plan.create_endpoint)
            endpoint = confirm_version(session, settle(), name=name, version=plan.version)
        else:
            endpoint = _update(session, name, plan, serving, settle)
        for call in plan.scaling:
            send(session, call)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"deploying endpoint {name} failed: {error}") from error
    return DeployResult(
        endpoint_name=name,
        endpoint_arn=endpoint["EndpointArn"],
        version=endpoint["EndpointConfigName"],
        model_data_url=plan.model_data_url,
        created=serving is None,
    )


def _serving_variant(session: boto3.Session, name: str, settle: Settle) -> dict[str, Any] | None:
    """Return the variant of the endpoint that must be updated; None when one must be created."""
    endpoint = find_endpoint(session, name)
    if endpoint is None:
        return None
    status = endpoint["EndpointStatus"]
    if status == "Failed":
        # Nothing serves there, and SageMaker allows nothing but deleting it.
        send(session, ApiCall("sagemaker", "DeleteEndpoint", {"EndpointName": name}))
        settle()
        return None
    if status != "InService":
        raise RefusedError(
            f"endpoint {name} is {status}: wait until it is in service "
            f"(`python -m model_build status --endpoint-name {name}`), or delete it"
        )
    config = session.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=endpoint["EndpointConfigName"]
    )
    return dict(config["ProductionVariants"][0])


def _refuse_serverless_update(name: str, serving: dict[str, Any]) -> None:
    """Refuse what SageMaker refuses: to make an endpoint on instances serverless."""
    if "ServerlessConfig" in serving:
        return
    raise RefusedError(
        f"endpoint {name} runs on {serving.get('InstanceType', 'instances')}, and SageMaker can't "
        "make it serverless in place: deploy under another --endpoint-name and give the application that "
        f"name (sam deploy --parameter-overrides EndpointName=…), or first `python -m model_build delete "
        f"--endpoint-name {name}`, and nothing answers until the new one does"
    )


def _upload(session: boto3.Session, model: Path | str, image_name: str, call: ApiCall) -> None:
    _, image = serving_image(image_name, region_of(session))
    with tempfile.TemporaryDirectory() as scratch:
        archive = prepare_archive(model, image, Path(scratch), session)
        session.client("s3").upload_file(str(archive), call.parameters["Bucket"], call.parameters["Key"])


def _update(
    session: boto3.Session, name: str, plan: DeploymentPlan, serving: dict[str, Any], settle: Settle
) -> dict[str, Any]:
    """Update the endpoint to the plan's version; return its description."""
    update, removed = plan.update_endpoint, Scaling()
    scaling = read_scaling(session, name)
    same_instances = plan.variant.get("InstanceType") == serving.get("InstanceType")
    if scaling.targets and plan.scaling and same_instances:
        update = retain_instance_count(update)
    elif scaling.targets:
        remove_scaling(session, scaling)
        removed = scaling
    try:
        send(session, update)
        return confirm_version(session, settle(), name=name, version=plan.version)
    except (DeploymentError, ClientError):  # not after a timeout: the update goes on
        restore_scaling(session, removed)
        raise
