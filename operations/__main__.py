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
    name: LazyCommand(f"operations.commands.{target}", purpose)
    for name, target, purpose in (
        ("doctor", "checks:doctor", "Check that an account is ready for the application."),
        ("smoke", "checks:smoke", "Prove a deployed stack with photos of its own."),
        ("send", "send:command", "Send photos to a stack and show the outcome of each."),
        ("results", "records:results", "List the recorded outcomes."),
        ("review", "review:command", "Decide on doubtful photos in a browser."),
        ("show", "records:show", "Show what became of one photo, and why."),
        ("status", "checks:status", "Say how a stack stands, and what to do."),
        ("forget", "forget:command", "Delete a photo and its records."),
        ("redrive", "redrive:command", "Start photos again that failed or have no outcome."),
        ("batch", "batch:command", "Classify all photos of a prefix or a list."),
        ("load", "load:command", "Send photos on a schedule and balance the account."),
        ("cost", "cost:command", "Estimate the monthly cost on AWS."),
        ("report", "report:command", "Write a page about confidence, outcomes and drift."),
    )
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
