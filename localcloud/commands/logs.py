"""`localcloud logs`: files of its processes, and what the functions wrote to CloudWatch Logs."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import click

from commandline.errors import FAILED, UsageError
from commandline.options import POSITIVE
from commandline.terminal import say
from localcloud.access import LocalSession
from localcloud.options import state_option
from localcloud.state import Running, StateFolder

Reader = Callable[[int], Sequence[str]]
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
    for name in names:
        if not any(known.startswith(name) for known in logs):
            raise UsageError(f"there is no log {name!r}; there are: {', '.join(logs)}")
    if running is None:
        say("nothing runs: these are the logs of the last run")
    for name, (where, read) in logs.items():
        if not names or name.startswith(names):
            print(f"==> {name} ({where})")
            for line in read(lines):
                print(f"    {line}")
    return 0


def find_logs(folder: StateFolder, running: Running | None) -> dict[str, tuple[str, Reader]]:
    """Return the logs of this run or, if nothing runs, those of the last one.

    By the name that a user has for a log: its file or log group, and what returns its last lines.
    """
    folders = (folder.logs, folder.path / "sagemaker" / "logs")
    files = (path for logs in folders for path in sorted(logs.glob("*.log")))
    found: dict[str, tuple[str, Reader]] = {one.stem: (str(one), partial(_end_of_file, one)) for one in files}
    if running and running.stack:
        client = LocalSession(running).client("logs")
        prefix = f"/scones/{running.stack['name']}/"
        for group in client.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
            name = group["logGroupName"]
            found[name.removeprefix(prefix)] = name, partial(end_of_group, client, name)
    return found


def _end_of_file(path: Path, count: int) -> Sequence[str]:
    return path.read_text(errors="replace").splitlines()[-count:]


def end_of_group(client: Any, group: str, count: int) -> Sequence[str]:
    """Return the last lines of a log group, by the ends of its streams.

    FilterLogEvents, which reads them all, begins with the oldest.
    """
    newest = {"orderBy": "LastEventTime", "descending": True, "limit": _STREAMS}
    events = [
        (event["timestamp"], event["message"].rstrip())
        for stream in client.describe_log_streams(logGroupName=group, **newest)["logStreams"]
        for event in client.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], limit=min(count, _MOST_LINES)
        )["events"]
    ]
    last = sorted(events, key=itemgetter(0))[-count:]
    return [f"{datetime.fromtimestamp(time / 1000, UTC):%H:%M:%S} {text}" for time, text in last]
