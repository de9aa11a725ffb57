"""`scones results` and `scones show`: what became of photos."""

import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from commandline.options import POSITIVE, Duration, json_option
from commandline.terminal import has_colour, plural, print_lines, say, visible
from operations.outcomes import OUTCOMES, guess, painted
from operations.results import Record, ResultsTable
from operations.stack import StackChoice, stack_options

if TYPE_CHECKING:
    from operations.photos.traces import Version

DEFAULT_PERIOD: Final = timedelta(days=30)


@click.command("results")
@stack_options
@click.option("--outcome", type=click.Choice(OUTCOMES, case_sensitive=False), help="Only this outcome.")
@click.option("--label", help="Only photos with this label.")
@click.option("--since", type=Duration(), help="Only what was recorded in this time: 90s, 30m, 24h, 7d.")
@click.option("--limit", type=POSITIVE, metavar="N", help="Only the newest N.")
@json_option
def results(  # noqa: PLR0913 - one parameter for each option
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
    number = print_lines(
        json.dumps(record.as_json()) if as_json else _record_line(record) for record in records
    )
    if not as_json:
        default = "" if since else f" of the last {DEFAULT_PERIOD.days} days; --since 365d lists more"
        say(plural(number, "record") + default)


def _record_line(record: Record) -> str:
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


@click.command("show")
@click.argument("photo")
@stack_options
@json_option
def show(*, choice: StackChoice, photo: str, as_json: bool) -> None:
    r"""Show what became of one photo: each version, its outcome, and its trace through the workflow.

    PHOTO is a key under incoming/, what follows incoming/ in the key, an s3:// URI, a file that was sent, or
    its name. With --json each version is one line.

    \b
    Example:
      scones show photo.jpg
    """
    from operations.photos.traces import named, versions_of  # noqa: PLC0415 - it takes AWS's SDK
    from operations.status import Situation  # noqa: PLC0415

    stack = choice.find()
    uri = named(stack, photo)
    versions = versions_of(stack, uri)
    if as_json:
        for version in versions:
            print(json.dumps(version.as_json()))
        return
    print(f"{visible(uri)}: {plural(len(versions), 'version')}")
    trouble = Situation(stack).trouble() if any(one.record is None for one in versions) else []
    for version in versions:
        print("\n" + "\n".join(_version_lines(version, trouble)))


def _version_lines(version: "Version", trouble: list[str]) -> list[str]:
    size = "not in the bucket any more" if version.size is None else f"{version.size:,} bytes"
    time = f", uploaded {version.uploaded_at:%Y-%m-%d %H:%M:%S} UTC" if version.uploaded_at else ""
    lines = [f"version {version.object_version}: {size}{time}"]
    record = version.record
    if record is None:
        why = trouble or ["`scones redrive --missing` starts it if it is lost"]
        return [*lines, "  no outcome yet", *(f"  {visible(sentence)}" for sentence in why)]
    outcome = painted(record.outcome, colour=has_colour(sys.stdout)).rstrip()
    sure = "" if record.confidence is None else f" {record.confidence:.3f}"
    sure += "" if record.threshold is None else f" (threshold {record.threshold:g})"
    label = f" {record.label}" if record.label else ""
    lines.append(f"  {outcome}{label}{'' if record.decided_by else sure}, recorded {record.recorded_at}")
    shown = {
        "error": ": ".join(filter(None, [record.error, record.cause])),
        "decided by": f"{record.decided_by}, {record.decided_at}" if record.decided_by else "",
        "the model said": f"{record.model_label}{sure}" if record.model_label else "",
        "neither": "" if record.neither is None else f"{record.neither:.3f}, the model's probability",
        "model": record.model_version,
        "execution": record.execution_arn,
    }
    lines += [f"  {name}: {visible(value)}" for name, value in shown.items() if value]
    for step in version.steps:
        tries = f", {step.attempts} attempts" if step.attempts > 1 else ""
        error = f", {visible(step.error)}" if step.error else ""
        lines.append(f"    {step.name:<16} {step.seconds:6.2f} s{tries}{error}")
    return lines
