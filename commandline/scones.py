"""`scones GROUP COMMAND`: the three programs under one name, for an installed checkout."""

import sys
from collections.abc import Sequence
from typing import Final

import click

from commandline.program import LazyCommand, LazyGroup, run

PROGRAMS: Final = {
    "local": LazyCommand("localcloud.__main__:program", "The whole application on this machine."),
    "model": LazyCommand("model_build.__main__:program", "Train, measure and deploy the model."),
    "ops": LazyCommand("operations.__main__:program", "Work with a deployed stack, on AWS or here."),
}


@click.group(cls=LazyGroup, lazy=PROGRAMS)
def program() -> None:
    r"""Classify vehicles: the local cloud, the model and the operations of a deployed stack.

    \b
    Example:
      scones local demo
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    return run(program, "scones", arguments)


if __name__ == "__main__":
    sys.exit(main())
