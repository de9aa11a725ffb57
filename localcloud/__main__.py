"""`python -m localcloud COMMAND`: the whole application on this machine, without AWS, Docker or network."""

from commandline.interrupts import end_silently

if __name__ == "__main__":
    end_silently()

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import click

from commandline.program import LazyCommand, LazyGroup, run

COMMANDS: Final = {
    "up": LazyCommand("localcloud.commands.up:command", "Start the application and leave it running."),
    "down": LazyCommand("localcloud.commands.down:command", "Stop it."),
    "status": LazyCommand("localcloud.commands.status:command", "Show whether it runs, and where."),
    "logs": LazyCommand("localcloud.commands.logs:command", "Show the logs of its parts."),
    "demo": LazyCommand("localcloud.commands.demo:command", "Start it, classify photos, stop it."),
    "fault": LazyCommand("localcloud.commands.fault:command", "Break parts of it on purpose."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def program() -> None:
    r"""Run the whole application on this machine, without AWS, Docker or network.

    \b
    Example:
      scones local demo --photos ~/photos
    """
    context = click.get_current_context()
    context.call_on_close(partial(os.umask, os.umask(0o077)))  # what they make is nobody else's business


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    return run(program, "python -m localcloud", arguments)


if __name__ == "__main__":
    sys.exit(main())
