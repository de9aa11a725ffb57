"""FilterInference the plain way: with the imports that the other functions have."""

import json
import os
from typing import Any

import boto3

S3 = boto3.client("s3")


def lambda_handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Raise unless one class is probable enough."""
    if max(event["inferences"]) < float(os.environ["CONFIDENCE_THRESHOLD"]):
        raise ValueError(f"THRESHOLD_CONFIDENCE_NOT_MET: {json.dumps(event['inferences'])}")
    return event
