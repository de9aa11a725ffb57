"""The logs of a local cloud: files of its processes, and what the functions wrote to CloudWatch Logs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from localcloud.access import LocalSession
from localcloud.state import Running, StateFolder

_STREAMS: Final = 20  # of a function: the newest
_MOST_LINES: Final = 10_000  # of GetLogEvents


@dataclass(frozen=True)
class Log:
    """One log.

    Attributes:
        name: what a user calls it.
        where: its file or log group.
        read: returns its last lines, at most so many, the newest last.
    """

    name: str
    where: str
    read: Callable[[int], Sequence[str]]


def find_logs(folder: StateFolder, running: Running | None) -> list[Log]:
    """Return the logs of this run or, if nothing runs, those of the last one."""
    files = {path.stem: path for path in sorted(folder.logs.glob("*.log"))}
    files |= {path.stem: path for path in sorted((folder.path / "sagemaker" / "logs").glob("*.log"))}
    found = [Log(name, str(path), _reader(path)) for name, path in files.items()]
    return found + (_function_logs(running) if running and running.stack else [])


def _reader(path: Path) -> Callable[[int], Sequence[str]]:
    return lambda count: path.read_text(errors="replace").splitlines()[-count:]


def _function_logs(running: Running) -> list[Log]:
    client = LocalSession(running).client("logs")
    prefix = f"/scones/{running.stack['name']}/"
    groups = client.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
    return [
        Log(group.removeprefix(prefix), group, _group_reader(client, group))
        for group in (group["logGroupName"] for group in groups)
    ]


def _group_reader(client: Any, group: str) -> Callable[[int], Sequence[str]]:
    def read(count: int) -> Sequence[str]:
        """Read the ends of the streams: FilterLogEvents, which reads them all, begins with the oldest."""
        newest = {"orderBy": "LastEventTime", "descending": True, "limit": _STREAMS}
        events = [
            (event["timestamp"], event["message"].rstrip())
            for stream in client.describe_log_streams(logGroupName=group, **newest)["logStreams"]
            for event in client.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], limit=min(count, _MOST_LINES)
            )["events"]
        ]
        last = sorted(events, key=lambda event: event[0])[-count:]
        return [f"{datetime.fromtimestamp(time / 1000, UTC):%H:%M:%S} {text}" for time, text in last]

    return read
