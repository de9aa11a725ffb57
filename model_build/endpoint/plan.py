"""The calls of a deployment, computed before any is made: `deploy` makes them, `--dry-run` prints them."""

from dataclasses import dataclass
from typing import Any, Final

from model_build.artifact.container_images import ServingImage, serving_image
from model_build.endpoint.aws import ApiCall
from model_build.endpoint.requests import DEFAULT_INSTANCE_TYPE, DeployRequest
from model_build.endpoint.scaling import VARIANT, scaling_calls
from model_build.endpoint.versions import archive_key

VERSION_VARIABLE: Final = "MODEL_VERSION"  # serving/inference.py sends it with every answer


@dataclass(frozen=True)
class DeploymentPlan:
    """The calls of one deployment, in the order in which they are sent.

    Attributes:
        version: the name of the new model and endpoint configuration.
        image: what the archive must have for the image that serves it.
        upload: puts the archive into the bucket.
        create_model: creates the model.
        create_endpoint_config: creates the endpoint configuration.
        create_endpoint: for an endpoint that does not exist yet.
        update_endpoint: for one that exists.
        scaling: sets up auto scaling; empty if the number of instances is fixed.
        keeps_scaling: whether the endpoint goes on scaling as it does.
    """

    version: str
    image: ServingImage
    upload: ApiCall
    create_model: ApiCall
    create_endpoint_config: ApiCall
    create_endpoint: ApiCall
    update_endpoint: ApiCall
    scaling: tuple[ApiCall, ...]
    keeps_scaling: bool = False

    @property
    def model_data_url(self) -> str:
        """The `s3://` URI of the archive."""
        return f"s3://{self.upload.parameters['Bucket']}/{self.upload.parameters['Key']}"

    @property
    def endpoint_name(self) -> str:
        """The endpoint."""
        return str(self.update_endpoint.parameters["EndpointName"])

    @property
    def image_uri(self) -> str:
        """The image that serves the model."""
        return str(self.create_model.parameters["PrimaryContainer"]["Image"])

    @property
    def variant(self) -> dict[str, Any]:
        """The production variant, as CreateEndpointConfig takes it."""
        variant: dict[str, Any] = self.create_endpoint_config.parameters["ProductionVariants"][0]
        return variant

    def as_json(self) -> list[dict[str, Any]]:
        """Return all calls as a dry run prints them."""
        calls = (
            self.upload,
            self.create_model,
            self.create_endpoint_config,
            self.create_endpoint,
            self.update_endpoint,
            *self.scaling,
        )
        return [call.as_json() for call in calls]


def plan_deployment(request: DeployRequest, *, version: str, region: str) -> DeploymentPlan:
    """Compute every call of a deployment.

    Args:
        request: what was asked for.
        version: the name of the new model and endpoint configuration, see `versions.version_name`.
        region: the endpoint's region, for the image's URI.

    Raises:
        RefusedError: no image of that name is known, or none in this region or for this processor.
    """
    instance_type = None if request.serverless else request.instance_type or DEFAULT_INSTANCE_TYPE
    image_uri, image = serving_image(
        request.image, region, account=request.account, instance_type=instance_type
    )
    archive = {"Bucket": request.bucket, "Key": archive_key(version)}
    endpoint = {"EndpointName": request.endpoint_name, "EndpointConfigName": version}
    model = {
        "ModelName": version,
        "ExecutionRoleArn": request.role_arn,
        "PrimaryContainer": {
            "Image": image_uri,
            "ModelDataUrl": f"s3://{archive['Bucket']}/{archive['Key']}",
            "Environment": {**image.environment, VERSION_VARIABLE: version},
        },
    }
    return DeploymentPlan(
        version=version,
        image=image,
        upload=ApiCall("s3", "PutObject", archive),
        create_model=ApiCall("sagemaker", "CreateModel", model),
        create_endpoint_config=ApiCall(
            "sagemaker", "CreateEndpointConfig", _endpoint_config(request, version)
        ),
        create_endpoint=ApiCall(
            "sagemaker", "CreateEndpoint", endpoint, when="the endpoint does not exist yet"
        ),
        update_endpoint=ApiCall("sagemaker", "UpdateEndpoint", endpoint, when="the endpoint exists"),
        scaling=()
        if request.max_instances is None
        else scaling_calls(
            request.endpoint_name,
            instances=(request.instance_count, request.max_instances),
            invocations_per_instance=request.invocations_per_instance,
        ),
    )


def _endpoint_config(request: DeployRequest, version: str) -> dict[str, Any]:
    config = {
        "EndpointConfigName": version,
        "ProductionVariants": [{"VariantName": VARIANT, "ModelName": version, **_hosting(request)}],
    }
    return config | (_capture(request.bucket, request.capture_percent) if request.capture else {})


def _hosting(request: DeployRequest) -> dict[str, Any]:
    if request.serverless_memory_mb is not None:
        return {
            "ServerlessConfig": {
                "MemorySizeInMB": request.serverless_memory_mb,
                "MaxConcurrency": request.serverless_concurrency,
            }
        }
    return {
        "InstanceType": request.instance_type or DEFAULT_INSTANCE_TYPE,
        "InitialInstanceCount": request.instance_count,
        "InitialVariantWeight": 1.0,
    }


def _capture(bucket: str, percent: int) -> dict[str, Any]:
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": f"s3://{bucket}/capture",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Responses stay readable JSON text; photos, being neither CSV nor JSON, become base64.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    }
