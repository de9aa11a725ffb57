"""`operations results`."""

import json
import sys
from datetime import timedelta
from typing import Final

import click

from commandline.options import POSITIVE, Duration, json_option
from commandline.terminal import has_colour, plural, print_lines, say, visible
from operations.outcomes import OUTCOMES, guess, painted
from operations.results import Record, ResultsTable
from operations.stack import StackChoice, stack_options

DEFAULT_PERIOD: Final = timedelta(days=30)


@click.command("results")
@stack_options
@click.option("--outcome", type=click.Choice(OUTCOMES, case_sensitive=False), help="Only this outcome.")
@click.option("--label", help="Only photos with this label.")
@click.option("--since", type=Duration(), help="Only what was recorded in this time: 90s, 30m, 24h, 7d.")
@click.option("--limit", type=POSITIVE, metavar="N", help="Only the newest N.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    outcome: str | None,
    label: str | None,
    since: timedelta | None,
    limit: int | None,
    as_json: bool,
) -> None:
    r"""List the recorded outcomes, the newest last.

    Those of the last 30 days, or of --since. With --json each record is one line with the attributes of the
    results table.

    \b
    Example:
      scones results --outcome FAILED --since 24h
    """
    stack = choice.find()
    start = stack.now() - (since or DEFAULT_PERIOD)
    found = ResultsTable(stack).find(start, outcome=outcome, label=label, newest=limit)
    records = reversed(list(found)) if limit else found
    number = print_lines(json.dumps(record.as_json()) if as_json else _line(record) for record in records)
    if not as_json:
        default = "" if since else f" of the last {DEFAULT_PERIOD.days} days; --since 365d lists more"
        say(plural(number, "record") + default)


def _line(record: Record) -> str:
    label, probability = guess(record.outcome, record.label, record.confidence, record.neither)
    error = record.error or ""
    if record.decided_by:  # what the model answered is no part of a person's decision
        label, probability = record.label or "neither", None
        error = f"decided by {record.decided_by}, {record.decided_at}"
    sure = "" if probability is None else f"{probability:.3f}"
    outcome = painted(record.outcome, colour=has_colour(sys.stdout))
    why = f"  {visible(error)}" if error else ""
    return (
        f"{record.recorded_at or '':<24}  {outcome} {label:<11} {sure:>6}  {visible(record.object_uri)}{why}"
    )
