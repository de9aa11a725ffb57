"""`operations report`."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
from click.core import ParameterSource

from commandline.errors import FAILED, UsageError
from commandline.options import PROBABILITY, Duration, NameList, json_option
from commandline.terminal import progress_bar
from operations.report.drift import statistics_of, to_json
from operations.report.gather import ReportRequest, make_report, required
from operations.report.page import render
from operations.s3 import check_target, write
from operations.stack import StackChoice, stack_options

_PROGRAM: Final = ("scones", "report")
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@click.command("report")
@click.option(
    "--captures",
    metavar="DIR|s3://…",
    help="Data captured by SageMaker (*.jsonl). Without --stack-name no stack is looked up.  "
    "[default: what the stack's endpoint captures]",
)
@stack_options
@click.option("--since", type=Duration(), help="Only what happened in this time: 24h, 7d, 30d.")
@click.option(
    "--baseline",
    metavar="FILE|DIR|s3://…",
    help="Compare with the file that --write-baseline wrote (*.json), or with these captures.",
)
@click.option(
    "--write-baseline", metavar="FILE|s3://…", help="Write the statistics of these captures, for --baseline."
)
@click.option(
    "--threshold",
    type=PROBABILITY,
    help="Confidence from which an answer is accepted.  "
    "[default: the newest record's, or the shipped model's]",
)
@click.option(
    "--labels",
    type=NameList(),
    help="The classes in the endpoint's order.  [default: the stack's, or the shipped model's]",
)
@click.option("--output", default="report.html", metavar="FILE|s3://…", help="The page to write.")
@click.option(
    "--fail-on-drift", is_flag=True, help="Exit with 1 if there is drift: for a schedule that alarms."
)
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - one parameter for each option
    context: click.Context,
    *,
    choice: StackChoice,
    captures: str | None,
    since: timedelta | None,
    baseline: str | None,
    write_baseline: str | None,
    threshold: float | None,
    labels: tuple[str, ...] | None,
    output: str,
    fail_on_drift: bool,
    as_json: bool,
) -> int:
    r"""Write a page about what the endpoint saw and answered, and whether that changes.

    One HTML file without scripts: confidence over time against the threshold, outcomes over time, answers by
    class, latency, the least and the most confident photos. With --baseline also drift: whether photos or
    answers have changed, the photos that show it, and what to do. Damaged records are counted and shown.

    Exit code 0 once the page is written; with --fail-on-drift 1 if there is drift.

    \b
    Example:
      scones report --since 30d --write-baseline baseline.json
      scones report --since 7d --baseline baseline.json --fail-on-drift
      scones report --captures captured/ --output report.html --json
    """
    if fail_on_drift and baseline is None:
        raise UsageError("--fail-on-drift compares with something: give --baseline")
    for target in (output, *([] if write_baseline is None else [write_baseline])):
        check_target(target)
    named = context.get_parameter_source("stack_name") is not ParameterSource.DEFAULT
    request = ReportRequest(
        stack=choice.find() if named or captures is None else None,
        captures=captures,
        since=datetime.now(UTC) - since if since else None,
        baseline=baseline,
        threshold=threshold,
        labels=labels,
        session=choice.session(),
        command=_again(choice if named else None, captures, since),
    )
    with progress_bar(total=None, title="captures", unit="record") as bar:
        report = make_report(request, bar.update)
    if write_baseline is not None:
        text = to_json(statistics_of(required(report.window)))
        write(write_baseline, text, "application/json", request.session)
    write(output, render(report, datetime.now(UTC)), "text/html; charset=utf-8", request.session)
    if as_json:
        print(json.dumps(report.as_json() | {"output": output}))
    else:
        print(f"{report.headline()}. {report.explanation()}\n{output}")
    return FAILED if fail_on_drift and report.drifted else 0


def _again(choice: StackChoice | None, captures: str | None, since: timedelta | None) -> tuple[str, ...]:
    """Return the command line that reads the same records."""
    given: dict[str, Any] = {
        "--captures": captures,
        "--stack-name": choice and choice.name,
        "--region": choice and choice.region,
        "--profile": choice and choice.profile,
        "--since": since and _text(since),
    }
    return (*_PROGRAM, *(part for name, value in given.items() if value for part in (name, value)))


def _text(time: timedelta) -> str:
    """Return a time as `Duration` reads it."""
    seconds = time.total_seconds()
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0 or size == 1)
    return f"{seconds / size:g}{unit}"
