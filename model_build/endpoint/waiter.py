"""Waits until an endpoint has settled, and finds out what became of the version that was asked for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from model_build.endpoint.logs import log_tail
from model_build.errors import CloudError, DeploymentError

if TYPE_CHECKING:
    from collections.abc import Callable

    import boto3

SETTLED = frozenset({"InService", "Failed", "OutOfService", "UpdateRollbackFailed"})


class Progress(Protocol):
    """Where the commands show how far they are; `tqdm_progress` is the one for people."""

    def __call__(self, status: str, seconds: float) -> None:
        """Takes a status, and the seconds since the waiting began."""


def quiet(status: str, seconds: float) -> None:
    """Shows nothing: for callers from Python."""


def find_endpoint(session: boto3.Session, name: str) -> dict[str, Any] | None:
    """Describes an endpoint; None when there is none of that name."""
    try:
        return dict(session.client("sagemaker").describe_endpoint(EndpointName=name))
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def is_missing(error: ClientError) -> bool:
    """Whether SageMaker says that a thing does not exist (it has no error code of its own for that)."""
    details = error.response["Error"]
    return details["Code"] in {"ValidationException", "ResourceNotFound"} and (
        "could not find" in details["Message"].lower() or "does not exist" in details["Message"].lower()
    )


def wait_until_settled(
    session: boto3.Session,
    name: str,
    *,
    timeout_seconds: float,
    progress: Progress = quiet,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any] | None:
    """Waits while an endpoint is being created, updated, rolled back or deleted.

    Asks often at first and then less: an endpoint of the local cloud is there in a second, one of SageMaker's
    in five to ten minutes.

    Returns:
        The endpoint's last description; None when it is gone.

    Raises:
        CloudError: it did not settle in time. It goes on settling; the message says how to look.
    """
    waited = 0.0
    while True:
        endpoint = find_endpoint(session, name)
        if endpoint is None or endpoint["EndpointStatus"] in SETTLED:
            return endpoint
        status = str(endpoint["EndpointStatus"])
        progress(status, waited)
        if waited > timeout_seconds:
            raise CloudError(
                f"endpoint {name} is still {status} after {timeout_seconds:.0f} s. It goes "
                f"on without us: `python -m model_build status --endpoint-name {name}` shows how far it is, "
                "--timeout waits longer"
            )
        pause = min(15.0, max(0.2, waited / 10))
        sleep(pause)
        waited += pause


def confirm_version(
    session: boto3.Session, endpoint: dict[str, Any] | None, *, name: str, version: str
) -> dict[str, Any]:
    """Makes sure that an endpoint that has settled serves the version that was asked for.

    `InService` alone does not say so: after an update that failed, the endpoint is in service again on its
    old configuration. Only the configuration's name tells.

    Returns:
        The endpoint's description.

    Raises:
        DeploymentError: it does not; with SageMaker's reason, the container's last log lines, and what
            serves.
    """
    if endpoint is None:
        raise DeploymentError(f"endpoint {name} was deleted while version {version} was being deployed")
    status, serving = endpoint["EndpointStatus"], endpoint.get("EndpointConfigName")
    if status == "InService" and serving == version:
        return endpoint
    reason = endpoint.get("FailureReason") or "SageMaker gave no reason"
    log = log_tail(session, f"/aws/sagemaker/Endpoints/{name}")
    if status in {"InService", "UpdateRollbackFailed"}:
        raise DeploymentError(
            f"version {version} failed and was rolled back; "
            f"endpoint {name} is {status} on {serving}: {reason}\n{log}",
            serving_config=serving,
        )
    raise DeploymentError(
        f"endpoint {name} is {status}, nothing serves (deploying again replaces it): {reason}\n{log}"
    )
