"""The command `smoke`."""

from pathlib import Path

import click

from commandline.options import FILE, FiniteRange, json_option
from commandline.terminal import plural, say
from operations.checks import report
from operations.photos.listener import OutcomeListener
from operations.photos.watcher import Watcher
from operations.smoke import Limits, SmokeTest, draw_samples
from operations.stack import StackChoice, stack_options

SECONDS = FiniteRange(min=1, max=3600)


@click.command()
@stack_options
@click.option("--accepted", type=FILE, help="Photo that the model must accept.  [default: a drawn bicycle]")
@click.option("--doubtful", type=FILE, help="Photo that it must not accept.  [default: a drawn cat]")
@click.option(
    "--canary-timeout",
    type=SECONDS,
    default=Limits.canary,
    metavar="SECONDS",
    help="How long to wait for the first execution; a new bucket needs about five minutes.",
)
@click.option(
    "--timeout", type=SECONDS, default=Limits.photo, metavar="SECONDS", help="How long one photo may take."
)
@click.option("--keep", is_flag=True, help="Keep the photos and their records.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    accepted: Path | None,
    doubtful: Path | None,
    canary_timeout: float,
    timeout: float,
    keep: bool,
    as_json: bool,
) -> int:
    r"""Prove a deployed stack with photos of its own; takes up to about eight minutes.

    It uploads a canary until the first upload event starts an execution, then a photo for each of the four
    outcomes, and checks table, event, execution, review queue, log and trace. Then come a missing object,
    duplicate events and five photos at once. It removes what it made under incoming/smoke/.

    The output can be pasted into an issue. Exit code: 0 if nothing is wrong, 1 otherwise.

    \b
    Example:
      scones smoke --stack-name scones
    """
    stack = choice.find()
    samples = draw_samples(accepted, doubtful)
    limits = Limits(canary=canary_timeout, photo=timeout)
    say(f"smoke test of stack {stack.name} in {stack.session.region_name}")
    with OutcomeListener(stack) as listener:
        test = SmokeTest(Watcher(stack, listener, timeout_s=timeout), samples, limits)
        try:
            return report(test.run(), as_json=as_json)
        finally:
            if keep:
                say(f"kept: s3://{stack.output('PhotoBucketName')}/{test.prefix}")
            else:
                say(f"removed {plural(test.clean_up(), 'object')} under {test.prefix}")
