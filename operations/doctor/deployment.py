"""What is deployed, or would be: container images, the stack, and the endpoint that it asks."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from operations.checks import Check, ask, ok, unknown, wrong

# <account>.dkr.ecr.<region>.<suffix>/<repository>:<tag>
IMAGE_URI: Final = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.[^/]+/(?P<repository>[^:@]+):(?P<tag>.+)")
LABELS_TAG: Final = "scones:labels"


def image_exists(session: boto3.Session, purpose: str, uri: str) -> Iterator[Check]:
    """Ask the registry whether an image's tag exists.

    Args:
        session: region and credentials.
        purpose: what the image is for.
        uri: the image, in a registry of Amazon ECR.
    """
    name = f"{purpose} image"
    match = IMAGE_URI.fullmatch(uri)
    if match is None:
        yield unknown(name, f"{uri} is not in Amazon ECR")
        return
    answer = ask(
        session,
        "ecr",
        "BatchGetImage",
        registryId=match["account"],
        repositoryName=match["repository"],
        imageIds=[{"imageTag": match["tag"]}],
    )
    if answer.get("images"):
        yield ok(name, uri)
    else:
        told = "; ".join(one.get("failureReason", "") for one in answer.get("failures", []))
        yield wrong(
            name, f"{uri} does not exist ({told})", "name another with --image when you deploy or train"
        )


def find_stack(session: boto3.Session, name: str) -> Mapping[str, Any] | None:
    """Return CloudFormation's description of a stack; None if there is none.

    Raises:
        UnansweredError: CloudFormation could not be asked.
    """
    try:
        answer = ask(session, "cloudformation", "DescribeStacks", StackName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    found: Mapping[str, Any] = answer["Stacks"][0]
    return found


def stack_parameters(stack: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a stack's parameters by name; none for a stack that does not exist."""
    given = (stack or {}).get("Parameters", [])
    return {one["ParameterKey"]: one.get("ParameterValue", "") for one in given}


def stack_is_complete(stack: Mapping[str, Any] | None, name: str) -> Iterator[Check]:
    """Tell whether the stack exists and its last deployment succeeded."""
    title = f"stack {name}"
    if stack is None:
        yield ok(title, "does not exist yet: `sam build && sam deploy --guided` creates it")
        return
    status = stack["StackStatus"]
    if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        yield ok(title, status)
    elif status == "ROLLBACK_COMPLETE":
        yield wrong(
            title, status, f"the first deployment failed: `sam delete --stack-name {name}`, then deploy"
        )
    else:
        yield wrong(title, status, "see the stack's events in CloudFormation, then deploy again")


def endpoint_fits(session: boto3.Session, parameters: Mapping[str, str]) -> Iterator[Check]:
    """Check that the endpoint is in service and answers with the labels that the stack expects.

    Args:
        session: region and credentials.
        parameters: the stack's parameters, of which `EndpointName` and `ClassLabels` are read.
    """
    missing = [one for one in ("EndpointName", "ClassLabels") if not parameters.get(one)]
    if missing:
        yield wrong(
            "endpoint",
            f"neither the template nor the stack has a value of {' and '.join(missing)}",
            "name the application's own template with --template",
        )
        return
    name = parameters["EndpointName"]
    title = f"endpoint {name}"
    try:
        endpoint = ask(session, "sagemaker", "DescribeEndpoint", EndpointName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"ValidationException", "ResourceNotFound"}:
            raise
        yield wrong(
            title, "does not exist", f"create it: `python -m model_build deploy --endpoint-name {name} …`"
        )
        return
    if endpoint["EndpointStatus"] != "InService":
        reason = endpoint.get("FailureReason") or "it is not in service"
        yield wrong(
            title,
            f"{endpoint['EndpointStatus']}: {reason}",
            "see `model_build status`; deploy the model again",
        )
        return
    yield ok(title, f"in service with {endpoint['EndpointConfigName']}")
    yield _labels_check(session, endpoint["EndpointArn"], parameters["ClassLabels"])


def _labels_check(session: boto3.Session, arn: str, expected: str) -> Check:
    title = "class labels"
    tags = ask(session, "sagemaker", "ListTags", ResourceArn=arn).get("Tags", [])
    found = next((tag["Value"] for tag in tags if tag["Key"] == LABELS_TAG), None)
    if found is None:
        return unknown(
            title, f"the endpoint has no tag {LABELS_TAG}: another tool than model_build deployed it"
        )
    labels = found.replace(" ", ",")  # a comma is not allowed in a tag's value
    if labels != expected:
        return wrong(
            title,
            f"the endpoint answers for {labels}, the stack expects {expected}",
            f"deploy the stack with ClassLabels={labels}, or another model",
        )
    return ok(title, expected)
