"""What a deployment asks of AWS: the calls and their parameters, worked out before anything is sent.

Nothing here talks to AWS. `deploy` sends these very calls, `deploy --dry-run` prints them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from model_build.artifact.container_images import DEFAULT_SERVING_IMAGE, serving_image
from model_build.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

VARIANT = "AllTraffic"
DEFAULT_INSTANCE_TYPE = "ml.m5.large"
# CreateEndpoint's own pattern; the timestamp that names a version takes 20 of SageMaker's 63 characters.
ENDPOINT_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_ENDPOINT_NAME = 43
ROLE_ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/?[\w+=,.@/-]+")
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
SERVERLESS_MEMORY_MB = range(1024, 6144 + 1, 1024)
SERVERLESS_CONCURRENCY = range(1, 200 + 1)
SCALABLE_DIMENSION = "sagemaker:variant:DesiredInstanceCount"


@dataclass(frozen=True)
class DeployRequest:
    """One deployment, as a person asks for it.

    Attributes:
        model: model folder, `model.tar.gz`, or the `s3://` URI of one (a training job's result).
        endpoint_name: at most 43 letters, digits and hyphens.
        role_arn: the role that the container runs under.
        bucket: where the archive is uploaded, and captured data written.
        instance_type: real-time endpoint on this instance; None with `serverless_memory_mb`, else the default
            type.
        instance_count: instances at the start; the floor when the endpoint scales.
        max_instances: scale out to this many; None leaves the number fixed.
        invocations_per_instance: requests a minute and instance that scaling aims at.
        serverless_memory_mb: serverless endpoint with this memory, 1024 to 6144 in steps of 1024.
        serverless_concurrency: how many requests a serverless endpoint answers at a time.
        capture: keep what the endpoint saw and said in `s3://<bucket>/capture/` (real-time only).
        capture_percent: share of the requests that is kept.
        image: `ray`, `torchserve` or an image URI.
        timeout_seconds: how long to wait for the endpoint.
    """

    model: Path | str
    endpoint_name: str
    role_arn: str
    bucket: str
    instance_type: str | None = None
    instance_count: int = 1
    max_instances: int | None = None
    invocations_per_instance: int = 1000
    serverless_memory_mb: int | None = None
    serverless_concurrency: int = 5
    capture: bool = False
    capture_percent: int = 100
    image: str = DEFAULT_SERVING_IMAGE
    timeout_seconds: float = 1800

    @property
    def serverless(self) -> bool:
        """Whether the endpoint runs without instances."""
        return self.serverless_memory_mb is not None

    def check(self) -> None:
        """Refuses what AWS would refuse, before anything is sent.

        Raises:
            RefusedError: names the option and what to do instead.
        """
        _check_names(self)
        if self.serverless:
            _check_serverless(self)
        else:
            _check_instances(self)
        if not 1 <= self.capture_percent <= 100:  # noqa: PLR2004
            raise RefusedError(f"--capture-percent {self.capture_percent}: give 1 to 100")


def _check_names(request: DeployRequest) -> None:
    name = request.endpoint_name
    if not ENDPOINT_NAME.fullmatch(name) or len(name) > MAX_ENDPOINT_NAME:
        raise RefusedError(
            f"--endpoint-name {name!r}: give 1 to {MAX_ENDPOINT_NAME} letters, digits and hyphens, with a "
            "letter or digit at both ends (a timestamp is added for each version, and SageMaker allows "
            "63 in all)"
        )
    if not ROLE_ARN.fullmatch(request.role_arn):
        raise RefusedError(
            f"--role-arn {request.role_arn!r} is no role's ARN (arn:aws:iam::<account>:role/<name>); "
            "`sam deploy --template-file model_build/role.yaml --guided` makes one and prints it"
        )
    if not BUCKET_NAME.fullmatch(request.bucket):
        raise RefusedError(
            f"--bucket {request.bucket!r}: give a bucket's name, without s3:// and without a path"
        )


def _check_serverless(request: DeployRequest) -> None:
    if request.instance_type:
        raise RefusedError("--instance-type and --serverless-memory exclude each other: leave one out")
    if request.capture:
        raise RefusedError(
            "a serverless endpoint can't capture data: leave out --capture, or give --instance-type "
            f"(such as {DEFAULT_INSTANCE_TYPE}) instead of --serverless-memory"
        )
    if request.max_instances is not None:
        raise RefusedError(
            "a serverless endpoint scales by itself: leave out --max-instances "
            "(--serverless-concurrency is its limit)"
        )
    if request.serverless_memory_mb not in SERVERLESS_MEMORY_MB:
        raise RefusedError(
            f"--serverless-memory {request.serverless_memory_mb}: "
            f"give {', '.join(map(str, SERVERLESS_MEMORY_MB))}"
        )
    if request.serverless_concurrency not in SERVERLESS_CONCURRENCY:
        raise RefusedError(f"--serverless-concurrency {request.serverless_concurrency}: give 1 to 200")


def _check_instances(request: DeployRequest) -> None:
    if request.instance_type is not None and not re.fullmatch(
        r"ml\.[a-z0-9-]+\.[a-z0-9]+", request.instance_type
    ):
        raise RefusedError(
            f"--instance-type {request.instance_type!r}: give one such as {DEFAULT_INSTANCE_TYPE}"
        )
    if request.instance_count < 1:
        raise RefusedError(
            f"--instance-count {request.instance_count}: give 1 or more (an endpoint can't be stopped; "
            "`model_build delete` ends its cost, --serverless-memory costs nothing while idle)"
        )
    if request.max_instances is not None and request.max_instances < request.instance_count:
        raise RefusedError(
            f"--max-instances {request.max_instances} is below --instance-count {request.instance_count}: "
            "give as many or more"
        )
    if request.invocations_per_instance < 1:
        raise RefusedError(f"--invocations-per-instance {request.invocations_per_instance}: give 1 or more")


@dataclass(frozen=True)
class ApiCall:
    """One call to AWS: the service and operation as boto3 names them, and the parameters.

    `when` says under what condition the call is made, for readers of a dry run; empty: always.
    """

    service: str
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)
    when: str = ""

    def as_json(self) -> dict[str, Any]:
        """The call as a dry run prints it."""
        return {
            "service": self.service,
            "operation": self.operation,
            **({"when": self.when} if self.when else {}),
            "parameters": self.parameters,
        }


def version_name(endpoint_name: str, now: datetime | None = None) -> str:
    """Names a version of an endpoint: `<endpoint>-<UTC date>-<time>-<milliseconds>`."""
    now = now or datetime.now(UTC)
    return f"{endpoint_name}-{now:%Y%m%d-%H%M%S}-{now.microsecond // 1000:03d}"


def is_version_of(name: str, endpoint_name: str) -> bool:
    """Whether a model's or configuration's name is one that `version_name` gives for this endpoint.

    `scones-dev-20261123-101500-000` is a version of `scones-dev`, not of `scones`.
    """
    return re.fullmatch(re.escape(endpoint_name) + r"-\d{8}-\d{6}-\d{3}", name) is not None


def archive_key(version: str) -> str:
    """Where in the bucket a version's archive lies."""
    return f"models/{version}/model.tar.gz"


@dataclass(frozen=True)
class EndpointRequests:
    """The calls of one deployment, in the order in which they are sent."""

    upload: ApiCall
    create_model: ApiCall
    create_endpoint_config: ApiCall
    create_endpoint: ApiCall
    update_endpoint: ApiCall
    scaling: tuple[ApiCall, ...]

    def as_json(self) -> list[dict[str, Any]]:
        """All of them as a dry run prints them."""
        calls = (
            self.upload,
            self.create_model,
            self.create_endpoint_config,
            self.create_endpoint,
            self.update_endpoint,
            *self.scaling,
        )
        return [call.as_json() for call in calls]


def endpoint_requests(request: DeployRequest, *, version: str, region: str) -> EndpointRequests:
    """Works out every call of a deployment.

    Args:
        request: what was asked for; it is checked here.
        version: the name of the new model and endpoint configuration, see `version_name`.
        region: the endpoint's region, for the image's URI.

    Raises:
        RefusedError: AWS would refuse it.
    """
    request.check()
    image_uri, image = serving_image(request.image, region)
    key = archive_key(version)
    endpoint = {"EndpointName": request.endpoint_name, "EndpointConfigName": version}
    return EndpointRequests(
        upload=ApiCall("s3", "PutObject", {"Bucket": request.bucket, "Key": key}),
        create_model=ApiCall(
            "sagemaker",
            "CreateModel",
            {
                "ModelName": version,
                "ExecutionRoleArn": request.role_arn,
                "PrimaryContainer": {
                    "Image": image_uri,
                    "ModelDataUrl": f"s3://{request.bucket}/{key}",
                    "Environment": image.environment,
                },
            },
        ),
        create_endpoint_config=ApiCall(
            "sagemaker", "CreateEndpointConfig", _endpoint_config(request, version)
        ),
        create_endpoint=ApiCall(
            "sagemaker", "CreateEndpoint", endpoint, when="the endpoint does not exist yet"
        ),
        update_endpoint=ApiCall("sagemaker", "UpdateEndpoint", endpoint, when="the endpoint exists"),
        scaling=_scaling(request),
    )


def _endpoint_config(request: DeployRequest, version: str) -> dict[str, Any]:
    variant: dict[str, Any] = {"VariantName": VARIANT, "ModelName": version}
    if request.serverless_memory_mb is not None:
        variant["ServerlessConfig"] = {
            "MemorySizeInMB": request.serverless_memory_mb,
            "MaxConcurrency": request.serverless_concurrency,
        }
    else:
        variant |= {
            "InstanceType": request.instance_type or DEFAULT_INSTANCE_TYPE,
            "InitialInstanceCount": request.instance_count,
            "InitialVariantWeight": 1.0,
        }
    config: dict[str, Any] = {"EndpointConfigName": version, "ProductionVariants": [variant]}
    if request.capture:
        config["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": request.capture_percent,
            "DestinationS3Uri": f"s3://{request.bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Answers stay readable JSON text; photos, being neither CSV nor JSON, become base64.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    return config


def scaling_resource(endpoint_name: str) -> dict[str, str]:
    """How Application Auto Scaling addresses the endpoint's instances."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{endpoint_name}/variant/{VARIANT}",
        "ScalableDimension": SCALABLE_DIMENSION,
    }


def _scaling(request: DeployRequest) -> tuple[ApiCall, ...]:
    if request.max_instances is None:
        return ()
    resource = scaling_resource(request.endpoint_name)
    when = "the endpoint is in service"
    return (
        ApiCall(
            "application-autoscaling",
            "RegisterScalableTarget",
            {**resource, "MinCapacity": request.instance_count, "MaxCapacity": request.max_instances},
            when=when,
        ),
        ApiCall(
            "application-autoscaling",
            "PutScalingPolicy",
            {
                **resource,
                "PolicyName": f"{request.endpoint_name}-invocations",
                "PolicyType": "TargetTrackingScaling",
                "TargetTrackingScalingPolicyConfiguration": {
                    "TargetValue": float(request.invocations_per_instance),
                    "PredefinedMetricSpecification": {
                        "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
                    },
                    # Out at once, in only after the load has stayed away: a new instance takes minutes to
                    # start.
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 300,
                },
            },
            when=when,
        ),
    )
