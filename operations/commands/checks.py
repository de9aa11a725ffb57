"""`scones status`, `scones doctor` and `scones smoke`: checks of a stack, from a glance to a proof."""

from pathlib import Path

import click

from commandline.options import FILE, json_option
from commandline.terminal import plural, say
from operations.stack import StackChoice, stack_options


@click.command()
@stack_options
@json_option
def status(*, choice: StackChoice, as_json: bool) -> int:
    r"""Say how a stack stands: what is in progress, what does not work, what waits, which model answers.

    What is wrong has the next command to type. `scones doctor` looks deeper, at account and deployment. With
    --json each line is one object, and the last line counts them. Exit code 1 if anything is wrong.

    \b
    Example:
      scones status --stack-name scones
    """
    from operations.checks import report  # noqa: PLC0415 - all of these take AWS's SDK
    from operations.status import Situation  # noqa: PLC0415

    return report(Situation(choice.find()).checks(), as_json=as_json)


@click.command()
@stack_options
@json_option
def doctor(*, choice: StackChoice, as_json: bool) -> int:
    r"""Check an AWS account and what is deployed in it; changes nothing.

    It asks for identity, region, quotas and container images, and whether stack, endpoint, rules and review
    queue are as they should be. It works before anything is deployed. A check is ok, wrong (with what to do),
    or unknown (it could not be asked: which permission is missing).

    Exit code: 0 if nothing is wrong, 1 otherwise.

    \b
    Example:
      scones doctor --stack-name scones
    """
    from operations.checks import report  # noqa: PLC0415
    from operations.doctor import examine  # noqa: PLC0415

    return report(examine(choice.session(), choice.name), as_json=as_json)


@click.command()
@stack_options
@click.option("--accepted", type=FILE, help="Photo that the model must accept.  [default: a drawn bicycle]")
@click.option("--doubtful", type=FILE, help="Photo that it must not accept.  [default: a drawn cat]")
@json_option
def smoke(*, choice: StackChoice, accepted: Path | None, doubtful: Path | None, as_json: bool) -> int:
    r"""Prove a deployed stack with photos of its own; takes up to about eight minutes.

    It uploads a canary until the first upload event starts an execution, then a photo for each of the four
    outcomes, and checks table, event, execution, review queue, log and trace. Then come a missing object,
    duplicate events and five photos at once. It removes what it made under incoming/smoke/.

    The output can be pasted into an issue. Exit code: 0 if nothing is wrong, 1 otherwise.

    \b
    Example:
      scones smoke --stack-name scones
    """
    from operations.checks import report  # noqa: PLC0415
    from operations.photos.watcher import OutcomeListener, Watcher  # noqa: PLC0415
    from operations.smoke import PHOTO_S, SmokeTest, draw_samples  # noqa: PLC0415

    stack, samples = choice.find(), draw_samples(accepted, doubtful)
    say(f"smoke test of stack {stack.name} in {stack.session.region_name}")
    with OutcomeListener(stack) as listener:
        test = SmokeTest(Watcher(stack, listener, timeout_s=PHOTO_S), samples)
        try:
            return report(test.run(), as_json=as_json)
        finally:
            say(f"removed {plural(test.clean_up(), 'object')} under {test.prefix}")
