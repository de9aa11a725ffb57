"""The command `doctor`."""

import click

from commandline.options import json_option
from operations.checks import report
from operations.doctor import examine
from operations.stack import StackChoice, stack_options


@click.command()
@stack_options
@json_option
def command(choice: StackChoice, as_json: bool) -> int:
    r"""Check an AWS account and what is deployed in it; changes nothing.

    It asks for identity, region, quotas and container images, and whether stack, endpoint, rules and review
    queue are as they should be. It works before anything is deployed. A check is ok, wrong (with what to do),
    or unknown (it could not be asked: which permission is missing).

    Exit code: 0 if nothing is wrong, 1 otherwise.

    \b
    Example:
      scones doctor --stack-name scones
    """
    return report(examine(choice.session(), choice.name), as_json=as_json)
