"""Wait until an endpoint has settled, and find out what became of the version that was asked for."""

from typing import Any, Final

import boto3

from commandline.polling import DEFAULT_RHYTHM, PollingTimeoutError, Rhythm, poll
from model_build.endpoint.aws import find_endpoint
from model_build.endpoint.logs import endpoint_log_group, log_tail
from model_build.endpoint.progress import Progress, quiet
from model_build.errors import DeploymentError, StillSettlingError

SETTLED: Final = frozenset({"InService", "Failed", "OutOfService", "UpdateRollbackFailed"})


def wait_until_settled(
    session: boto3.Session,
    name: str,
    *,
    timeout_seconds: float,
    progress: Progress = quiet,
    rhythm: Rhythm = DEFAULT_RHYTHM,
) -> dict[str, Any] | None:
    """Wait while an endpoint is being created, updated, rolled back or deleted.

    Args:
        session: account and region.
        name: the endpoint.
        timeout_seconds: how long to wait.
        progress: is told the endpoint's status while it waits.
        rhythm: how often to ask: an endpoint of the local cloud is there in a second, one of SageMaker's in
            five to ten minutes.

    Returns:
        The endpoint's last description; None when it is gone.

    Raises:
        StillSettlingError: it did not settle in time. It goes on settling; the message says how to look.
    """
    try:
        return poll(
            lambda: find_endpoint(session, name),
            until=lambda endpoint: endpoint is None or endpoint["EndpointStatus"] in SETTLED,
            timeout_seconds=timeout_seconds,
            rhythm=rhythm,
            waiting=lambda endpoint, seconds: progress(str((endpoint or {}).get("EndpointStatus")), seconds),
        )
    except PollingTimeoutError as error:
        raise StillSettlingError(
            f"endpoint {name} is still {error.last['EndpointStatus']} after {timeout_seconds:.0f} s. "
            f"SageMaker continues: `scones model status --endpoint-name {name}` shows its state, "
            "--timeout waits longer"
        ) from error


def confirm_version(
    session: boto3.Session, endpoint: dict[str, Any] | None, *, name: str, version: str
) -> dict[str, Any]:
    """Make sure that an endpoint that has settled serves the version that was asked for.

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
    log = log_tail(session, endpoint_log_group(name))
    if status in {"InService", "UpdateRollbackFailed"}:
        raise DeploymentError(
            f"version {version} failed and was rolled back; "
            f"endpoint {name} is {status} on {serving}: {reason}\n{log}",
            serving_config=serving,
            version_in_use=status == "UpdateRollbackFailed",
        )
    raise DeploymentError(f"endpoint {name} is {status}, nothing serves: {reason}\n{log}")
