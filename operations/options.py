"""Options that the commands share: which stack, in which region, with which credentials."""

from dataclasses import dataclass
from functools import wraps
from typing import Any, cast

import click

from commandline.options import Command
from operations.stack import Stack, find_stack, open_session


@dataclass(frozen=True)
class StackChoice:
    """The stack that the command line names; it is looked up only when the rest was found to be in order."""

    name: str
    region: str | None
    profile: str | None

    def find(self) -> Stack:
        """Look the stack up.

        Raises:
            StackError: there is no such stack.
            botocore.exceptions.BotoCoreError: no such profile, no region, no credentials, no connection.
        """
        return find_stack(self.name, open_session(self.region, self.profile))


def stack_options(command: Command) -> Command:
    """Add --stack-name, --region and --profile; the command is called with `choice`, a StackChoice."""

    @wraps(command)
    def with_choice(stack_name: str, region: str | None, profile: str | None, **options: Any) -> Any:
        if not stack_name.strip():  # CloudFormation takes it for every stack
            raise click.UsageError("--stack-name: an empty name")
        return command(choice=StackChoice(stack_name, region, profile), **options)

    decorated: Any = with_choice
    for option in (
        click.option("--profile", metavar="NAME", help="Profile of ~/.aws/config.  [default: AWS_PROFILE]"),
        click.option(
            "--region", metavar="NAME", help="Region of the stack.  [default: AWS_REGION, or the profile's]"
        ),
        click.option("--stack-name", default="scones", metavar="NAME", help="Name of the deployed stack."),
    ):
        decorated = option(decorated)
    return cast("Command", decorated)
