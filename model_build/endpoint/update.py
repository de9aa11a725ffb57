"""Update an endpoint that exists to a new version, in place."""

from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import ClientError

from model_build.endpoint.aws import ApiCall, find_endpoint, send
from model_build.endpoint.plan import DeploymentPlan
from model_build.endpoint.scaling import (
    Scaling,
    read_scaling,
    remove_scaling,
    restore_scaling,
    retain_instance_count,
)
from model_build.endpoint.waiter import confirm_version
from model_build.errors import DeploymentError, RefusedError

Settle = Callable[[], dict[str, Any] | None]


def serving_variant(session: boto3.Session, name: str, settle: Settle) -> dict[str, Any] | None:
    """Return the variant of the endpoint that must be updated; None if one must be created.

    An endpoint that never came into service is deleted: SageMaker allows nothing else.

    Raises:
        RefusedError: the endpoint is changing.
        botocore.exceptions.ClientError: AWS refused a call.
    """
    endpoint = find_endpoint(session, name)
    if endpoint is None:
        return None
    status = endpoint["EndpointStatus"]
    if status == "Failed":
        send(session, ApiCall("sagemaker", "DeleteEndpoint", {"EndpointName": name}))
        settle()
        return None
    if status != "InService":
        raise RefusedError(
            f"endpoint {name} is {status}: wait until it is in service "
            f"(`scones model status --endpoint-name {name}`), or delete it"
        )
    config = session.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=endpoint["EndpointConfigName"]
    )
    return dict(config["ProductionVariants"][0])


def refuse_serverless_update(name: str, serving: dict[str, Any]) -> None:
    """Refuse what SageMaker refuses: to make an endpoint on instances serverless.

    Raises:
        RefusedError: it runs on instances.
    """
    if "ServerlessConfig" in serving:
        return
    raise RefusedError(
        f"endpoint {name} runs on {serving.get('InstanceType', 'instances')}, and SageMaker can't "
        "make it serverless in place: deploy under another --endpoint-name and give the application that "
        f"name (sam deploy --parameter-overrides EndpointName=…), or first `scones model delete "
        f"--endpoint-name {name}`, and nothing answers until the new one does"
    )


def update(
    session: boto3.Session, name: str, plan: DeploymentPlan, serving: dict[str, Any], settle: Settle
) -> dict[str, Any]:
    """Update the endpoint to the plan's version.

    Args:
        session: account and region.
        name: the endpoint.
        plan: the new version, whose model and configuration exist.
        serving: the production variant that serves now.
        settle: waits until the endpoint has settled, and describes it.

    Returns:
        The endpoint's description, with the new version in service.

    Raises:
        DeploymentError: the new version did not come into service; scaling is as it was.
    """
    call, removed = plan.update_endpoint, Scaling()
    scaling = read_scaling(session, name)
    same_instances = plan.variant.get("InstanceType") == serving.get("InstanceType")
    if scaling.targets and same_instances and (plan.scaling or plan.keeps_scaling):
        call = retain_instance_count(call)
    elif scaling.targets:
        remove_scaling(session, scaling)
        removed = scaling
    try:
        send(session, call)
        return confirm_version(session, settle(), name=name, version=plan.version)
    except (DeploymentError, ClientError):  # not after a timeout: the update goes on
        restore_scaling(session, removed)
        raise
