"""The model that an endpoint serves: how it is deployed, and its archive."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.artifact.prepare import download
from model_build.endpoint.aws import find_endpoint
from model_build.errors import CloudError, RefusedError


@dataclass(frozen=True)
class ServingModel:
    """What an endpoint in service runs.

    Attributes:
        endpoint_name: the endpoint.
        config: its configuration, as DescribeEndpointConfig answers.
        model: its model, as DescribeModel answers; it has a `PrimaryContainer`.
    """

    endpoint_name: str
    config: dict[str, Any]
    model: dict[str, Any]

    @property
    def model_data_url(self) -> str:
        """The `s3://` URI of the model archive."""
        return str(self.model["PrimaryContainer"]["ModelDataUrl"])

    def download(self, folder: Path, session: boto3.Session) -> Path:
        """Download the archive.

        Args:
            folder: where to write it.
            session: account and region.

        Raises:
            CloudError: AWS refused it.
        """
        return download(self.model_data_url, folder / "serving.tar.gz", session)


def serving_model(session: boto3.Session, endpoint_name: str) -> ServingModel:
    """Look up what an endpoint runs.

    Raises:
        RefusedError: there is no such endpoint, it is not in service, or it was not made by `deploy`.
        CloudError: AWS refused a call.
    """
    try:
        endpoint = find_endpoint(session, endpoint_name)
        if endpoint is None or endpoint["EndpointStatus"] != "InService":
            state = "does not exist" if endpoint is None else f"is {endpoint['EndpointStatus']}"
            raise RefusedError(f"endpoint {endpoint_name} {state}: nothing serves there to compare with")
        sagemaker = session.client("sagemaker")
        name = endpoint["EndpointConfigName"]
        config: dict[str, Any] = dict(sagemaker.describe_endpoint_config(EndpointConfigName=name))
        model: dict[str, Any] = dict(
            sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
        )
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"looking up endpoint {endpoint_name} failed: {aws_reason(error)}") from error
    if len(config["ProductionVariants"]) != 1 or not model.get("PrimaryContainer", {}).get("ModelDataUrl"):
        raise RefusedError(
            f"endpoint {endpoint_name} was not made by `model_build deploy`: it has several variants or "
            "containers, or no model archive"
        )
    return ServingModel(endpoint_name, config, model)
