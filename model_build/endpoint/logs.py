"""The last lines that a container wrote to CloudWatch: the reason behind SageMaker's own short one."""

from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
LINES: Final = 20


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
        return f"the container's log ({group}) can't be read: {error}"
    return f"the container wrote no log ({group})"
