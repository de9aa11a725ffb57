"""ClassifyImage the plain way."""

import base64
import json
import os
from typing import Any

import boto3

RUNTIME = boto3.client("sagemaker-runtime")


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Ask the endpoint for the probabilities of a photo's classes."""
    answer = RUNTIME.invoke_endpoint(
        EndpointName=os.environ["ENDPOINT_NAME"],
        ContentType="image/png",
        Body=base64.b64decode(event["image_data"]),
    )
    return {**event, "inferences": json.loads(answer["Body"].read())}
