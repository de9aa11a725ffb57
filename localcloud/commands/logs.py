"""`localcloud logs`: files of its processes, and what the functions wrote to CloudWatch Logs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from commandline.errors import FAILED, UsageError
from commandline.options import POSITIVE
from commandline.terminal import say
from localcloud.access import LocalSession
from localcloud.options import state_option
from localcloud.state import Running, StateFolder

_STREAMS: Final = 20  # of a function: the newest
_MOST_LINES: Final = 10_000  # of GetLogEvents


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--lines", type=POSITIVE, default=20, metavar="N", help="Last lines of each log.")
@state_option()
def command(*, names: tuple[str, ...], lines: int, state: Path) -> int:
    r"""Show the end of the logs of the local cloud's parts, or of those that begin with a NAME.

    The parts are its processes (supervisor, ministack, sagemaker), the commands that build and deploy
    (sam-build, sam-deploy, model-deploy), the endpoint's containers (endpoint-…) and, while it runs, the
    functions.

    \b
    Example:
      scones local logs classify-image endpoint --lines 50
    """
    folder = StateFolder(state)
    running = folder.load()
    logs = find_logs(folder, running)
    if not logs:
        print(f"there are no logs in the state folder {folder.path}")
        return FAILED
    known = ", ".join(log.name for log in logs)
    for name in names:
        if not any(log.name.startswith(name) for log in logs):
            raise UsageError(f"there is no log {name!r}; there are: {known}")
    if running is None:
        say("nothing runs: these are the logs of the last run")
    for log in logs:
        if not names or log.name.startswith(names):
            print(f"==> {log.name} ({log.where})")
            for line in log.read(lines):
                print(f"    {line}")
    return 0


class Log(NamedTuple):
    """A log by the name that a user has for it, its file or log group, and what returns its last lines."""

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
