"""Sessions, calls and the errors of AWS that the endpoint's modules have in common."""

import os
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError

from model_build.errors import RefusedError


@dataclass(frozen=True)
class ApiCall:
    """One call to AWS.

    Attributes:
        service: its name in boto3.
        operation: its name in AWS's API reference, such as `CreateModel`.
        parameters: as boto3 takes them.
        when: the condition of the call, for readers of a dry run; empty: always.
    """

    service: str
    operation: str
    parameters: dict[str, Any] = field(default_factory=dict)
    when: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the call as a dry run prints it."""
        condition = {"when": self.when} if self.when else {}
        return {
            "service": self.service,
            "operation": self.operation,
            **condition,
            "parameters": self.parameters,
        }


def new_session() -> boto3.Session:
    """Return a session with the standard environment and configuration, AWS_REGION included.

    The AWS CLI and all other SDKs read AWS_REGION, boto3 does not.
    """
    return boto3.Session(region_name=os.environ.get("AWS_REGION") or None)


def region_of(session: boto3.Session) -> str:
    """Return the region to work in.

    Raises:
        RefusedError: none is configured.
    """
    if not session.region_name:
        raise RefusedError("no AWS region is configured: set AWS_REGION, or run `aws configure`")
    return str(session.region_name)


def send(session: boto3.Session, call: ApiCall) -> dict[str, Any]:
    """Make one call and return its answer.

    Raises:
        botocore.exceptions.ClientError: AWS refused it.
    """
    client: Any = session.client(call.service)  # type: ignore[call-overload]  # any service
    return dict(getattr(client, xform_name(call.operation))(**call.parameters))


def is_missing(error: ClientError) -> bool:
    """Return whether SageMaker says that a resource does not exist (it has no error code of its own)."""
    details = error.response["Error"]
    return details["Code"] in {"ValidationException", "ResourceNotFound"} and (
        "could not find" in details["Message"].lower() or "does not exist" in details["Message"].lower()
    )


def find_endpoint(session: boto3.Session, name: str) -> dict[str, Any] | None:
    """Describe an endpoint; return None if there is none of that name.

    Raises:
        botocore.exceptions.ClientError: AWS refused the call.
    """
    try:
        return dict(session.client("sagemaker").describe_endpoint(EndpointName=name))
    except ClientError as error:
        if is_missing(error):
            return None
        raise
