"""The command `doctor`."""

from pathlib import Path

import click

from commandline.options import FILE, json_option
from operations.checks import report
from operations.doctor.report import ROOT, examine
from operations.options import StackChoice, stack_options
from operations.stack import open_session


@click.command()
@click.option(
    "--template",
    type=FILE,
    default=ROOT / "template.yaml",
    show_default="template.yaml of this checkout",
    help="The application's template.",
)
@stack_options
@json_option
def command(choice: StackChoice, template: Path, as_json: bool) -> int:
    r"""Check that an AWS account is ready for the application; changes nothing.

    It asks for identity, region, quotas, container images, the validity of template, workflows and policies,
    and whether the endpoint fits the stack. It takes about a minute, and works before anything is deployed.
    A check is ok, wrong (with what to do), or unknown (it could not be asked: which permission is missing).

    Exit code: 0 if nothing is wrong, 1 otherwise.

    \b
    Example:
      python -m operations doctor --stack-name scones
    """
    return report(
        examine(open_session(choice.region, choice.profile), choice.name, template), as_json=as_json
    )
