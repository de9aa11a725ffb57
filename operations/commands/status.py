"""`scones status`."""

import click

from commandline.options import json_option
from operations.checks import report
from operations.stack import StackChoice, stack_options
from operations.status import Situation


@click.command("status")
@stack_options
@json_option
def command(*, choice: StackChoice, as_json: bool) -> int:
    r"""Say how a stack stands: what is in progress, what does not work, what waits, which model answers.

    What is wrong has the next command to type. `scones doctor` looks deeper, at account and deployment. With
    --json each line is one object, and the last line counts them. Exit code 1 if anything is wrong.

    \b
    Example:
      scones status --stack-name scones
    """
    return report(Situation(choice.find()).checks(), as_json=as_json)
