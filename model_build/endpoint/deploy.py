"""Deploy a model to a SageMaker endpoint: a new one, or a new version of one.

Plain boto3: the endpoint's control plane needs no SageMaker SDK, and the standard `AWS_*` variables select
account and region.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.artifact.package import read_labels
from model_build.artifact.prepare import prepare_archive
from model_build.data.extract import ExtractionError
from model_build.endpoint.aws import new_session, region_of, send
from model_build.endpoint.labels import tag_endpoint
from model_build.endpoint.logs import endpoint_log_group, set_retention
from model_build.endpoint.plan import DeploymentPlan, plan_deployment
from model_build.endpoint.progress import Progress, ignore, quiet
from model_build.endpoint.registry import look_up
from model_build.endpoint.replacement import plan_replacement
from model_build.endpoint.requests import DEFAULT_INSTANCE_TYPE, DeployRequest
from model_build.endpoint.serving_model import ServingModel
from model_build.endpoint.undo import Undo
from model_build.endpoint.update import refuse_serverless_update, serving_variant, update
from model_build.endpoint.versions import version_name
from model_build.endpoint.waiter import confirm_version, wait_until_settled
from model_build.errors import CloudError

__all__ = ["DeployRequest", "DeployResult", "Follow", "deploy", "plan_only", "replace_model"]

DEFAULT_TIMEOUT_S: Final = 1800.0
Notice = Callable[[str], None]


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


@dataclass(frozen=True)
class Follow:
    """How to follow a deployment.

    Attributes:
        progress: is told the endpoint's status while it waits.
        notice: is told what did not succeed and is no reason to stop.
        timeout_seconds: how long to wait for the endpoint.
    """

    progress: Progress = quiet
    notice: Notice = ignore
    timeout_seconds: float = DEFAULT_TIMEOUT_S


def plan_only(request: DeployRequest, *, session: boto3.Session | None = None) -> DeploymentPlan:
    """Return the calls that `deploy` would make, without making any.

    Raises:
        RefusedError: AWS would refuse it, or no region is configured.
    """
    region = region_of(session or new_session())
    return plan_deployment(request, version=version_name(request.endpoint_name), region=region)


def deploy(
    request: DeployRequest,
    *,
    session: boto3.Session | None = None,
    progress: Progress = quiet,
    notice: Notice = ignore,
    timeout_seconds: float = DEFAULT_TIMEOUT_S,
) -> DeployResult:
    """Deploy a model and wait until it serves.

    An endpoint that exists is updated in place: the old version answers until the new one has passed its
    health check, and keeps answering if it does not. A version that fails is removed again.

    Args:
        request: what to deploy and how.
        session: account and region; None takes the standard environment and configuration.
        progress: is told the endpoint's status while it waits.
        notice: is told what did not succeed and is no reason to stop.
        timeout_seconds: how long to wait for the endpoint.

    Raises:
        RefusedError: AWS would refuse it; nothing was changed.
        DeploymentError: the new version did not come into service; `serving_config` says what still serves.
        CloudError: AWS refused a call, or the endpoint did not settle in time.
    """
    session = session or new_session()
    plan = plan_only(request, session=session)
    follow = Follow(progress, notice, timeout_seconds)
    try:
        return _carry_out(session, request.model, plan, follow)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(
            f"deploying endpoint {request.endpoint_name} failed: {aws_reason(error)}"
            f"{_way_out(request, error)}"
        ) from error


def replace_model(
    serving: ServingModel, model: Path | str, *, session: boto3.Session, follow: Follow | None = None
) -> DeployResult:
    """Deploy another model to an endpoint that is in service, and keep all of its settings.

    Args:
        serving: what the endpoint runs.
        model: model folder, `model.tar.gz`, or the `s3://` URI of one.
        session: account and region.
        follow: how to follow the deployment.

    Raises:
        RefusedError: the model cannot be used; nothing was changed.
        DeploymentError: the new version did not come into service; `serving_config` says what still serves.
        CloudError: AWS refused a call, or the endpoint did not settle in time.
    """
    name = serving.endpoint_name
    plan = plan_replacement(serving, version_name(name))
    try:
        return _carry_out(session, model, plan, follow or Follow())
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"deploying endpoint {name} failed: {aws_reason(error)}") from error


def _carry_out(
    session: boto3.Session, model: Path | str, plan: DeploymentPlan, follow: Follow
) -> DeployResult:
    """Make the calls of a plan and wait until the version serves."""
    name, notice = plan.endpoint_name, follow.notice
    settle = partial(
        wait_until_settled,
        session,
        name,
        timeout_seconds=follow.timeout_seconds,
        progress=follow.progress,
    )
    serving = serving_variant(session, name, settle)
    if serving is not None and "ServerlessConfig" in plan.variant:
        refuse_serverless_update(name, serving)
    _tell(notice, look_up(session, plan.image_uri))
    _tell(notice, set_retention(session, endpoint_log_group(name)))
    follow.progress("Uploading", 0.0)
    with Undo(session, settle, notice) as undo:
        labels = _create_version(session, model, plan, undo)
        undo.endpoint_is_changing = True
        if serving is None:
            undo.send(plan.create_endpoint)
            endpoint = confirm_version(session, settle(), name=name, version=plan.version)
        else:
            endpoint = update(session, name, plan, serving, settle)
    _tell(notice, tag_endpoint(session, endpoint["EndpointArn"], labels))
    for call in plan.scaling:
        send(session, call)
    return DeployResult(
        endpoint_name=name,
        endpoint_arn=endpoint["EndpointArn"],
        version=endpoint["EndpointConfigName"],
        model_data_url=plan.model_data_url,
        created=serving is None,
    )


def _tell(notice: Notice, text: str) -> None:
    if text:
        notice(text)


def _create_version(
    session: boto3.Session, model: Path | str, plan: DeploymentPlan, undo: Undo
) -> tuple[str, ...] | None:
    """Upload the archive, create model and configuration; return the model's labels if they are known."""
    target = plan.upload.parameters
    with tempfile.TemporaryDirectory() as scratch:
        archive = prepare_archive(model, plan.image, Path(scratch), session)
        undo.remember(plan.upload)  # an upload that breaks off may have left something too
        session.client("s3").upload_file(str(archive), target["Bucket"], target["Key"])
        try:
            labels = read_labels(archive)
        except ExtractionError:  # an archive that only its own image understands
            labels = None
    undo.send(plan.create_model)
    undo.send(plan.create_endpoint_config)
    return labels


def _way_out(request: DeployRequest, error: ClientError | BotoCoreError) -> str:
    """Return what to do if the region has no Serverless Inference, which no operation of AWS lists."""
    if request.serverless and "serverless" in str(error).lower():
        return (
            f". If this region has no serverless endpoints, give --instance-type (such as "
            f"{DEFAULT_INSTANCE_TYPE}) instead of --serverless-memory, or use another region"
        )
    return ""
