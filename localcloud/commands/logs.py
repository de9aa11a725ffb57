"""`localcloud logs`."""

from pathlib import Path

import click

from commandline.errors import FAILED, UsageError
from commandline.options import POSITIVE
from commandline.terminal import say
from localcloud.logs import find_logs
from localcloud.options import state_option
from localcloud.state import StateFolder


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
