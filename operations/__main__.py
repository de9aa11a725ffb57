"""`python -m operations COMMAND`: work with a deployed stack, on AWS or here."""

from commandline.interrupts import end_silently

if __name__ == "__main__":
    end_silently()

import sys
from collections.abc import Sequence
from typing import Final

import click

from commandline.program import LazyCommand, LazyGroup, run

COMMANDS: Final = {
    "doctor": LazyCommand(
        "operations.commands.doctor:command", "Check that an account is ready for the application."
    ),
    "smoke": LazyCommand(
        "operations.commands.smoke:command", "Prove a deployed stack with photos of its own."
    ),
    "send": LazyCommand(
        "operations.commands.send:command", "Send photos to a stack and show the outcome of each."
    ),
    "results": LazyCommand("operations.commands.results:command", "List the recorded outcomes."),
    "review": LazyCommand("operations.commands.review:command", "Decide on doubtful photos in a browser."),
    "show": LazyCommand("operations.commands.show:command", "Show what became of one photo, and why."),
    "status": LazyCommand("operations.commands.status:command", "Say how a stack stands, and what to do."),
    "forget": LazyCommand("operations.commands.forget:command", "Delete a photo and its records."),
    "redrive": LazyCommand(
        "operations.commands.redrive:command", "Start photos again that failed or have no outcome."
    ),
    "batch": LazyCommand("operations.commands.batch:command", "Classify all photos of a prefix or a list."),
    "load": LazyCommand(
        "operations.commands.load:command", "Send photos on a schedule and balance the account."
    ),
    "cost": LazyCommand("operations.commands.cost:command", "Estimate the monthly cost on AWS."),
    "report": LazyCommand(
        "operations.commands.report:command", "Write a page about confidence, outcomes and drift."
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def program() -> None:
    r"""Work with a deployed stack.

    Region and credentials are found as every AWS tool finds them: AWS_PROFILE, AWS_REGION, ~/.aws.

    \b
    Example:
      scones send photo.jpg --stack-name scones
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    return run(program, "python -m operations", arguments)


if __name__ == "__main__":
    sys.exit(main())
