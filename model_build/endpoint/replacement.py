"""The calls that give an endpoint another model and leave everything else as it is."""

from typing import Any, Final
from urllib.parse import urlparse

from model_build.artifact.container_images import SERVING_IMAGES, ServingImage
from model_build.endpoint.aws import ApiCall
from model_build.endpoint.plan import VERSION_VARIABLE, DeploymentPlan
from model_build.endpoint.serving_model import ServingModel
from model_build.endpoint.versions import archive_key

# What DescribeModel and DescribeEndpointConfig answer and CreateModel and CreateEndpointConfig take.
_MODEL_SETTINGS: Final = ("ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation")
_CONFIG_SETTINGS: Final = (
    "DataCaptureConfig", "KmsKeyId", "ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation",
)  # fmt: skip


def plan_replacement(serving: ServingModel, version: str) -> DeploymentPlan:
    """Return the calls of a new version that differs from the serving one by its model only.

    Args:
        serving: what the endpoint runs.
        version: the name of the new model and endpoint configuration.
    """
    bucket = urlparse(serving.model_data_url).netloc
    archive = {"Bucket": bucket, "Key": archive_key(version)}
    container = {
        name: value for name, value in serving.model["PrimaryContainer"].items() if name != "ModelDataSource"
    }
    container |= {
        "ModelDataUrl": f"s3://{bucket}/{archive['Key']}",
        "Environment": {**container.get("Environment", {}), VERSION_VARIABLE: version},
    }
    model = {"ModelName": version, "PrimaryContainer": container, **_kept(serving.model, _MODEL_SETTINGS)}
    variant = {**serving.config["ProductionVariants"][0], "ModelName": version}
    config = {
        "EndpointConfigName": version,
        "ProductionVariants": [variant],
        **_kept(serving.config, _CONFIG_SETTINGS),
    }
    endpoint = {"EndpointName": serving.endpoint_name, "EndpointConfigName": version}
    return DeploymentPlan(
        version=version,
        image=_image(str(container["Image"])),
        upload=ApiCall("s3", "PutObject", archive),
        create_model=ApiCall("sagemaker", "CreateModel", model),
        create_endpoint_config=ApiCall("sagemaker", "CreateEndpointConfig", config),
        create_endpoint=ApiCall("sagemaker", "CreateEndpoint", endpoint),
        update_endpoint=ApiCall("sagemaker", "UpdateEndpoint", endpoint),
        scaling=(),
        keeps_scaling=True,
    )


def _kept(described: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: described[name] for name in names if described.get(name)}


def _image(uri: str) -> ServingImage:
    """Return what an image needs of the archive, by its repository and tag; one that is not ours: nothing."""
    tag = uri.partition("/")[2]
    return next((image for image in SERVING_IMAGES.values() if tag.startswith(image.tag)), ServingImage(tag))
