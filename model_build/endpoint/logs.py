"""The containers' logs in CloudWatch: their last lines, how long they are kept, and their removal."""

from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason

TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
LINES: Final = 20
RETENTION_DAYS: Final = 30


def endpoint_log_group(endpoint_name: str) -> str:
    """Return the log group that SageMaker makes for an endpoint's containers."""
    return f"/aws/sagemaker/Endpoints/{endpoint_name}"


def log_tail(session: boto3.Session, group: str, stream_prefix: str = "") -> str:
    """Return the end of a container's log, ready to be printed.

    If the log can't be read, the text says so: it must not hide the failure that it should explain.

    Args:
        session: account and region.
        group: the log group.
        stream_prefix: of the streams; empty for the group's most recent one.
    """
    try:
        logs = session.client("logs")
        if stream_prefix:
            found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream_prefix)
        else:
            found = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True)
        for stream in found["logStreams"]:
            events = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=LINES, startFromHead=False
            )["events"]
            lines = [f"  {event['message'].rstrip()}" for event in events]
            if lines:
                return "\n".join(
                    [f"end of the container's log ({group}, {stream['logStreamName']}):", *lines]
                )
    except (ClientError, BotoCoreError) as error:
        return f"the container's log ({group}) can't be read: {aws_reason(error)}"
    return f"the container wrote no log ({group})"


def create_with_retention(session: boto3.Session, group: str, days: int = RETENTION_DAYS) -> str:
    """Create a log group whose entries expire; leave one that exists as it is: it may be shared.

    SageMaker creates its groups without a retention: their logs are kept, and billed, forever.

    Args:
        session: account and region.
        group: the log group.
        days: one of the numbers that CloudWatch accepts.

    Returns:
        Why it could not be done, for a notice; empty if it was, or the group exists.
    """
    logs = session.client("logs")
    try:
        logs.create_log_group(logGroupName=group)
        logs.put_retention_policy(logGroupName=group, retentionInDays=days)
    except logs.exceptions.ResourceAlreadyExistsException:
        return ""
    except (ClientError, BotoCoreError) as error:
        return f"no retention could be set for the log group {group}: {error}"
    return ""


def set_retention(session: boto3.Session, group: str, days: int = RETENTION_DAYS) -> str:
    """Let a log group's entries expire, creating it if need be, unless it has a retention already.

    Returns:
        Why it could not be done, for a notice; empty if it was, or a retention was set before.
    """
    told = create_with_retention(session, group, days)
    if told:
        return told
    try:
        if (find_log_group(session, group) or {}).get("retentionInDays"):
            return ""
        session.client("logs").put_retention_policy(logGroupName=group, retentionInDays=days)
    except (ClientError, BotoCoreError) as error:
        return f"no retention could be set for the log group {group}: {aws_reason(error)}"
    return ""


def find_log_group(session: boto3.Session, group: str) -> dict[str, Any] | None:
    """Return CloudWatch's description of a log group; None if there is none.

    Raises:
        botocore.exceptions.ClientError: AWS refused the call.
    """
    found = session.client("logs").describe_log_groups(logGroupNamePrefix=group, limit=50)["logGroups"]
    return next((dict(one) for one in found if one["logGroupName"] == group), None)


def delete_log_group(session: boto3.Session, group: str) -> None:
    """Delete a log group with its logs.

    Raises:
        botocore.exceptions.ClientError: AWS refused the call.
    """
    session.client("logs").delete_log_group(logGroupName=group)
