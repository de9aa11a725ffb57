"""Delete an endpoint with everything that was deployed to it, so that it costs nothing."""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from model_build.endpoint.aws import new_session
from model_build.endpoint.inventory import Inventory, take_inventory
from model_build.endpoint.logs import delete_log_group
from model_build.endpoint.progress import Progress, quiet
from model_build.endpoint.scaling import remove_scaling
from model_build.endpoint.waiter import wait_until_settled
from model_build.errors import CloudError

DEFAULT_TIMEOUT_S = 600.0


def find(endpoint_name: str, *, session: boto3.Session | None = None) -> Inventory:
    """Return what `delete` would delete.

    Raises:
        CloudError: AWS refused a call.
    """
    try:
        return take_inventory(session or new_session(), endpoint_name)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"looking for endpoint {endpoint_name} failed: {aws_reason(error)}") from error


def delete(
    endpoint_name: str,
    *,
    session: boto3.Session | None = None,
    logs: bool = False,
    progress: Progress = quiet,
    timeout_seconds: float = DEFAULT_TIMEOUT_S,
) -> Inventory:
    """Delete an endpoint, its configurations, its models and its auto scaling.

    The model archives and the captured data in S3 stay: they record what was deployed and answered. So do the
    containers' logs, unless they are asked for.

    Args:
        endpoint_name: which; endpoints whose names merely begin alike are left alone.
        session: account and region; None takes the standard environment and configuration.
        logs: whether to delete the log group of its containers too.
        progress: is told the endpoint's status while it waits.
        timeout_seconds: how long to wait until the endpoint is gone.

    Returns:
        What existed, and was deleted, the logs apart; empty when there was nothing.

    Raises:
        CloudError: AWS refused a call, or the endpoint did not go in time.
    """
    session = session or new_session()
    inventory = find(endpoint_name, session=session)
    sagemaker = session.client("sagemaker")
    try:
        remove_scaling(session, inventory.scaling)
        if inventory.endpoint is not None:
            if inventory.endpoint["EndpointStatus"] != "Deleting":
                sagemaker.delete_endpoint(EndpointName=endpoint_name)
            _wait_until_gone(session, endpoint_name, progress, timeout_seconds)
        for config in inventory.configs:
            sagemaker.delete_endpoint_config(EndpointConfigName=config)
        for model in inventory.models:
            sagemaker.delete_model(ModelName=model)
        if logs and inventory.log_group:
            delete_log_group(session, inventory.log_group)
    except (ClientError, BotoCoreError) as error:
        raise CloudError(f"deleting endpoint {endpoint_name} failed: {aws_reason(error)}") from error
    return inventory


def _wait_until_gone(session: boto3.Session, name: str, progress: Progress, timeout_seconds: float) -> None:
    left = wait_until_settled(session, name, timeout_seconds=timeout_seconds, progress=progress)
    if left is not None:
        raise CloudError(
            f"endpoint {name} was not deleted, it is {left['EndpointStatus']}: run the command again"
        )
