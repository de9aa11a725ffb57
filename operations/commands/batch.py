"""`operations batch`."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from commandline.errors import FAILED, CommandError, UsageError
from commandline.options import json_option
from commandline.terminal import plural, print_lines, progress, progress_bar, say, visible
from operations.batch import AT_A_TIME, Listed, Run, Runs, listed, summarize, under
from operations.cost import batch_dollars
from operations.outcomes import OUTCOMES
from operations.stack import StackChoice, stack_options


@click.command("batch")
@stack_options
@click.option("--prefix", metavar="KEY", help="Classify the photos under it; begins with incoming/.")
@click.option("--manifest", metavar="S3URI", help="Classify a list: .jsonl, .csv, or an S3 Inventory.")
@click.option("--all", "everything", is_flag=True, help="Also photos with an outcome; decisions stay.")
@click.option("--quiet-backfill", is_flag=True, help="Publish no events and request no reviews.")
@click.option("--concurrency", type=click.IntRange(1, 1000), default=AT_A_TIME, help="Photos at a time.")
@click.option("--wait/--no-wait", default=True, help="Whether to wait for the end and print the summary.")
@click.option("--dry-run", is_flag=True, help="List the photos and start nothing.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    prefix: str | None,
    manifest: str | None,
    everything: bool,
    quiet_backfill: bool,
    concurrency: int,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    r"""Classify all photos of a prefix or a list in one execution.

    Leaves alone what has an outcome already, so that a run that was stopped is continued by starting it
    again. Each photo gets its record and event, and a line in the run's results; the summary is the last
    line. Exit code 0 if every photo has an outcome.

    \b
    Example:
      scones batch --prefix incoming/2026/ --dry-run
      scones batch --prefix incoming/2026/
    """
    if bool(prefix) == bool(manifest):
        raise UsageError("give either --prefix or --manifest")
    stack = choice.find()
    found = listed(stack, manifest) if manifest else under(stack, prefix or "")
    photos = found.photos() if everything else found.without_outcome()
    if dry_run:
        count = print_lines(
            json.dumps({"key": key, "version_id": version}) if as_json else visible(key)
            for key, version in photos
        )
        _report_left_out(found)
        say(f"{plural(count, 'photo')} would be classified")
        return 0
    begun, runs = time.monotonic(), Runs(stack)
    options = {"reclassify": everything, "announce": not quiet_backfill}
    at_a_time = capped(concurrency, runs.free_concurrency())
    run = runs.start(progress(photos, title="listing", unit="photo"), at_a_time, **options)
    _report_left_out(found)
    if run is None:
        if as_json:
            print(json.dumps({"summary": {"photos": 0}}))
        why = "every photo has an outcome" if found.found else f"no photo is in {prefix or manifest}"
        say(f"{why}: nothing was started")
        return 0
    say(f"{plural(run.photos, 'photo')} in run {run.name}")
    if not wait:
        started = {"run": run.name, "execution_arn": run.execution_arn}
        print(json.dumps(started) if as_json else run.execution_arn)
        return 0
    _wait(runs, run)
    return _conclude(runs, run, time.monotonic() - begun, as_json=as_json)


def capped(wanted: int, free: int | None) -> int:
    """Return how many photos may run at a time."""
    if free is None or wanted <= free:
        return wanted
    say(f"{plural(free, 'photo')} at a time: the functions' concurrency has no room for {wanted}")
    return max(1, free)


def _report_left_out(found: Listed) -> None:
    for reason, count in found.left_out.items():
        say(f"left out: {plural(count, 'photo')} {reason}")


def _wait(runs: Runs, run: Run) -> None:
    """Follow a run under a progress bar; an interruption stops it."""
    try:
        with progress_bar(total=run.photos, title="classifying", unit="photo") as bar:
            for share in runs.follow(run):
                bar.update(round(share * run.photos) - bar.n)
            bar.update(run.photos - bar.n)
    except KeyboardInterrupt:
        runs.stop(run)
        say("stopped; the same command goes on from there")
        raise


def _conclude(runs: Runs, run: Run, seconds: float, *, as_json: bool) -> int:
    def results() -> Iterator[dict[str, Any]]:
        for line in runs.results(run):
            if as_json:
                print(json.dumps(line))
            yield line

    summary = summarize(results(), run)
    summary |= {"seconds": round(seconds, 3), "dollars": round(batch_dollars(summary["classified"]), 4)}
    summary["results"] = runs.save(run, summary)
    if as_json:
        print(json.dumps({"summary": summary}))
    else:
        counts = ", ".join(f"{summary[name]} {name}" for name in OUTCOMES if summary[name])
        print(f"{plural(run.photos, 'photo')}: {counts}; {summary['without_outcome']} without outcome")
        print(f"{seconds:.1f} s, about {summary['dollars']} dollars on AWS; {summary['results']}")
    if problem := runs.problem(run):
        raise CommandError(
            f"run {run.name}: {problem}; start it again when the cause is gone: what is done stays done"
        )
    return FAILED if summary["without_outcome"] else 0
