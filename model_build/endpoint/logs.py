"""The last lines that a container wrote to CloudWatch: the reason behind SageMaker's own short one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    import boto3

LINES = 20


def log_tail(session: boto3.Session, group: str, stream_prefix: str = "") -> str:
    """The end of a container's log, ready to be printed.

    A log that can't be read is said and is no error: it must not hide the failure that it should explain.

    Args:
        session: whose account and region.
        group: the log group, such as `/aws/sagemaker/Endpoints/<endpoint>`.
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
                return "\n".join([f"the container's log ({group}, {stream['logStreamName']}) ends:", *lines])
    except (ClientError, BotoCoreError) as error:
        return f"the container's log ({group}) can't be read: {error}"
    return f"the container wrote no log ({group})"
