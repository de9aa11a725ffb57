"""`scones report`: from what a user names (a stack, captures, a baseline) to a page."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from commandline.errors import FAILED, CommandError, UsageError
from commandline.options import PROBABILITY, Duration, NameList, json_option
from commandline.terminal import plural, progress_bar
from model_build.archive.manifest import Manifest
from model_build.archive.package import DEFAULT_MODEL
from operations.report.captures import DamagedRecordError, Window, capture_source, read_window
from operations.report.drift import Statistics, detect_drift, from_json, sampled, statistics_of, to_json
from operations.report.figures import Report, read_history
from operations.report.page import render
from operations.results import Record, ResultsTable
from operations.s3 import check_target, is_s3, read, write
from operations.stack import Stack, StackChoice, stack_options

Progress = Callable[[int], object]
"""Gets the number of captured records found in each file."""


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
@click.option("--write-baseline", metavar="FILE|s3://…", help="Write their statistics, for --baseline.")
@click.option("--threshold", type=PROBABILITY, help="Accepted confidence.  [default: the newest record's]")
@click.option("--labels", type=NameList(), help="Classes in the endpoint's order.  [default: the stack's]")
@click.option("--output", default="report.html", metavar="FILE|s3://…", help="The page to write.")
@click.option("--fail-on-drift", is_flag=True, help="Exit with 1 if there is drift.")
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
    stack = choice.find() if named or captures is None else None
    session, start = choice.session(), datetime.now(UTC) - since if since else None
    labels = labels or _labels(stack)
    with progress_bar(total=None, title="captures", unit="record") as bar:
        before = None if baseline is None else _baseline(baseline, session, labels, bar.update)
        location, window = captured_by(stack) if captures is None and stack else captures, None
        if location is not None:
            source = capture_source(location, session)
            window = read_window(source, labels, since=start, progress=bar.update)
    drift = None if before is None or window is None else detect_drift(before, labels, sampled(window))
    report = Report(window, None, drift, 0, labels, _again(choice if named else None, captures, since))
    report = _with_records(report, stack, start) if stack else report
    if not (report.captured or (report.history and before is None)):
        window = _required(window)
        damage = ", ".join(f"{count:,} x {kind}" for kind, count in window.damage.counts.items())
        files = f"{window.source.name}: no usable records in {plural(len(window.files), 'file')}"
        raise CommandError(f"{files}; {damage or 'give a folder or prefix with *.jsonl files'}")
    if threshold is None and report.history is not None:
        threshold = report.history.threshold
    shipped = Manifest.read(DEFAULT_MODEL).default_threshold
    report = replace(report, threshold=shipped if threshold is None else threshold)
    if write_baseline is not None:
        write(write_baseline, to_json(statistics_of(_required(window))), "application/json", session)
    write(output, render(report, datetime.now(UTC)), "text/html; charset=utf-8", session)
    if as_json:
        print(json.dumps(report.as_json() | {"output": output}))
    else:
        print(f"{report.headline()}. {report.explanation()}\n{output}")
    return FAILED if fail_on_drift and report.drifted else 0


def _labels(stack: Stack | None) -> tuple[str, ...]:
    named = stack and stack.outputs.get("ClassLabels")
    return tuple(named.split(",")) if named else tuple(Manifest.read(DEFAULT_MODEL).labels)


def captured_by(stack: Stack) -> str | None:
    """Return where the endpoint of a stack captures its data, s3://BUCKET/PREFIX; None if it does not."""
    config = stack.endpoint().get("DataCaptureConfig") or {}
    destination = str(config.get("DestinationS3Uri", "")).rstrip("/")
    return f"{destination}/{stack.output('EndpointName')}/" if destination else None


def _baseline(location: str, session: Any, labels: tuple[str, ...], progress: Progress) -> Statistics:
    """Read a baseline file, or captures."""
    path = Path(location).expanduser()
    if not is_s3(location) and (not location.strip() or not path.exists()):
        raise UsageError(
            f"--baseline {location}: there is no such file or folder; `scones report --write-baseline` "
            "writes a file"
        )
    if location.endswith(".json") or (not is_s3(location) and path.is_file()):
        try:
            return from_json(read(location, session).decode(), location)
        except UnicodeDecodeError as error:
            raise UsageError(f"--baseline {location}: the file is not text") from error
    return statistics_of(read_window(capture_source(location, session), labels, progress=progress))


def _with_records(report: Report, stack: Stack, since: datetime | None) -> Report:
    """Add the stack's records to a report, and the keys of the photos that it shows."""
    versions, keys = {}, dict[str, str]()
    for row in report.shown():
        with suppress(DamagedRecordError, OSError):  # the file has changed since it was read
            versions[row] = report.window.record(row).version if report.window else ""
    wanted = set(versions.values())

    def records() -> Iterator[Record]:
        for record in ResultsTable(stack).find(since=since):
            if record.object_version in wanted:
                keys[record.object_version] = record.key
            yield record

    history = read_history(records(), report.labels)
    known = {row: keys[version] for row, version in versions.items() if version in keys}
    return replace(report, history=history, keys=known)


def _required(window: Window | None) -> Window:
    if window is None:
        raise CommandError(
            "nothing is captured: deploy the endpoint with `scones model deploy --capture`, or "
            "name captures with --captures"
        )
    return window


def _again(choice: StackChoice | None, captures: str | None, since: timedelta | None) -> tuple[str, ...]:
    """Return the command line that reads the same records."""
    given: dict[str, Any] = {
        "--captures": captures,
        "--stack-name": choice and choice.name,
        "--region": choice and choice.region,
        "--profile": choice and choice.profile,
        "--since": since and f"{since / timedelta(hours=1):g}h",
    }
    parts = (part for name, value in given.items() if value for part in (name, value))
    return ("scones", "report", *parts)
