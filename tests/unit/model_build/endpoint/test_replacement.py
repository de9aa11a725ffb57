"""The calls that give an endpoint another model and leave everything else as it is."""

from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from botocore.validate import ParamValidator

from model_build.artifact.container_images import SERVING_IMAGES
from model_build.endpoint.replacement import plan_replacement
from model_build.endpoint.serving_model import ServingModel, serving_model
from model_build.errors import RefusedError

IMAGE = f"763104351884.dkr.ecr.eu-west-1.amazonaws.com/{SERVING_IMAGES['ray'].tag}"
CAPTURE = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 20,
    "DestinationS3Uri": "s3://elsewhere/captured",
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
}
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "e-20261101-000000-000",
    "InstanceType": "ml.c7i.large",
    "InitialInstanceCount": 3,
    "InitialVariantWeight": 1.0,
}
NOW = "2026-11-01T00:00:00Z"


def serving(**container: Any) -> ServingModel:
    """Return what an endpoint runs, as SageMaker describes it."""
    return ServingModel(
        endpoint_name="e",
        config={
            "EndpointConfigName": "e-20261101-000000-000",
            "EndpointConfigArn": "arn:aws:sagemaker:eu-west-1:123456789012:endpoint-config/e",
            "ProductionVariants": [VARIANT],
            "DataCaptureConfig": CAPTURE,
            "KmsKeyId": "key",
            "CreationTime": NOW,
            "EnableNetworkIsolation": False,
        },
        model={
            "ModelName": "e-20261101-000000-000",
            "ModelArn": "arn:aws:sagemaker:eu-west-1:123456789012:model/e-20261101-000000-000",
            "PrimaryContainer": {
                "Image": IMAGE,
                "Mode": "SingleModel",
                "ModelDataUrl": "s3://models/models/e-20261101-000000-000/model.tar.gz",
                "ModelDataSource": {
                    "S3DataSource": {
                        "S3Uri": "s3://models/x",
                        "S3DataType": "S3Object",
                        "CompressionType": "None",
                    }
                },
                "Environment": {"OMP_NUM_THREADS": "1", "MODEL_VERSION": "e-20261101-000000-000"},
                **container,
            },
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/model",
            "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
            "CreationTime": NOW,
        },
    )


def test_everything_but_the_model_stays() -> None:
    plan = plan_replacement(serving(), "e-20261102-000000-000")

    model, config = plan.create_model.parameters, plan.create_endpoint_config.parameters
    assert plan.model_data_url == "s3://models/models/e-20261102-000000-000/model.tar.gz"
    assert model == {
        "ModelName": "e-20261102-000000-000",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/model",
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "PrimaryContainer": {
            "Image": IMAGE,
            "Mode": "SingleModel",
            "ModelDataUrl": plan.model_data_url,
            "Environment": {"OMP_NUM_THREADS": "1", "MODEL_VERSION": "e-20261102-000000-000"},
        },
    }
    assert config == {
        "EndpointConfigName": "e-20261102-000000-000",
        "ProductionVariants": [{**VARIANT, "ModelName": "e-20261102-000000-000"}],
        "DataCaptureConfig": CAPTURE,
        "KmsKeyId": "key",
    }
    assert plan.update_endpoint.parameters == {
        "EndpointName": "e",
        "EndpointConfigName": "e-20261102-000000-000",
    }
    assert (plan.scaling, plan.keeps_scaling, plan.endpoint_name) == ((), True, "e")


def test_sagemaker_takes_the_calls() -> None:
    plan = plan_replacement(serving(), "e-20261102-000000-000")
    client = boto3.Session("test", "test", region_name="eu-west-1").client("sagemaker")
    for call in (plan.create_model, plan.create_endpoint_config, plan.update_endpoint):
        shape: Any = client.meta.service_model.operation_model(call.operation).input_shape
        report = ParamValidator().validate(call.parameters, shape)
        assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("name", list(SERVING_IMAGES))
def test_the_archive_is_prepared_for_the_image_that_serves(name: str) -> None:
    image = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{SERVING_IMAGES[name].tag}"
    assert plan_replacement(serving(Image=image), "v").image == SERVING_IMAGES[name]


def test_another_image_gets_the_archive_as_it_is() -> None:
    image = plan_replacement(serving(Image="registry.example/team/server:3"), "v").image
    assert (image.archive_members, image.packages) == ((), None)


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ({"ProductionVariants": [VARIANT, VARIANT]}, serving().model),
        (serving().config, {"Containers": [{}, {}]}),
        (serving().config, {"PrimaryContainer": {"Image": IMAGE}}),
    ],
)
def test_an_endpoint_of_another_make_is_refused(config: dict[str, Any], model: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="was not made by `model_build deploy`"):
        _look_up({"EndpointStatus": "InService", "EndpointConfigName": "c"}, config, model)


def test_an_endpoint_that_does_not_serve_is_refused() -> None:
    with pytest.raises(RefusedError, match="endpoint e is Creating: nothing serves there"):
        _look_up({"EndpointStatus": "Creating", "EndpointConfigName": "c"}, {}, {})


class Session:
    """A session whose only client is stubbed."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def client(self, _: str) -> Any:
        """Return the stubbed client."""
        return self._client


def _look_up(endpoint: dict[str, Any], config: dict[str, Any], model: dict[str, Any]) -> ServingModel:
    client = boto3.Session("test", "test", region_name="eu-west-1").client("sagemaker")
    with Stubber(client) as stub:
        stub.add_response("describe_endpoint", _whole("DescribeEndpoint", endpoint), {"EndpointName": "e"})
        if config:
            stub.add_response("describe_endpoint_config", _whole("DescribeEndpointConfig", config))
            stub.add_response("describe_model", _whole("DescribeModel", model))
        return serving_model(Session(client), "e")  # type: ignore[arg-type]


def _whole(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Add the members that every answer of an operation has."""
    usual: dict[str, dict[str, Any]] = {
        "DescribeEndpoint": {
            "EndpointName": "e",
            "EndpointArn": "a" * 20,
            "CreationTime": 0,
            "LastModifiedTime": 0,
        },
        "DescribeEndpointConfig": {
            "EndpointConfigName": "c",
            "EndpointConfigArn": "a" * 20,
            "CreationTime": 0,
        },
        "DescribeModel": {"ModelName": "m", "ModelArn": "a" * 20, "CreationTime": 0},
    }
    return usual[operation] | answer
