"""`operations redrive`."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from itertools import chain

import click

from commandline.errors import FAILED, UsageError
from commandline.options import SECONDS, Duration, json_option
from commandline.terminal import plural, print_lines, progress, say, visible
from operations import redrive
from operations.delivery import Delivery
from operations.executions import is_express
from operations.outcomes import OUTCOMES
from operations.redrive import Redriven
from operations.results import Item, ResultsTable
from operations.stack import Stack, StackChoice, stack_options


@click.command("redrive")
@stack_options
@click.option(
    "--outcome",
    type=click.Choice(OUTCOMES, case_sensitive=False),
    help="Start the photos with this outcome again; a person's decision stays.  [default: FAILED]",
)
@click.option(
    "--missing",
    is_flag=True,
    help="Start what has no record instead: versions under incoming/, and upload events that were not "
    "delivered. Recorded outcomes whose event is missing are published.",
)
@click.option(
    "--reviews", is_flag=True, help="Put LOW_CONFIDENCE photos on the review queue again. Starts none."
)
@click.option("--since", type=Duration(), default="30d", help="What was recorded or uploaded in this time.")
@click.option("--older-than", type=Duration(), default="5m", help="--missing leaves out younger uploads.")
@click.option("--rate", type=click.FloatRange(0.1, 1000), default=10, help="Executions to start in a second.")
@click.option("--timeout", type=SECONDS, default=3600, help="How long to wait for the outcomes.")
@click.option("--dry-run", is_flag=True, help="List the photos and start nothing.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    outcome: str | None,
    missing: bool,
    reviews: bool,
    since: timedelta,
    older_than: timedelta,
    rate: float,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> int:
    r"""Start photos again: those that failed, or with --missing those without an outcome.

    Prints what became of each; with --json each photo is one line, and the last line is the summary. Exit
    code 0 if none of them failed again.

    \b
    Example:
      scones redrive --since 24h
      scones redrive --missing --dry-run
    """
    if bool(missing) + bool(outcome) + bool(reviews) > 1:
        raise UsageError("--missing, --outcome and --reviews exclude each other: each chooses other photos")
    stack = choice.find()
    now, table, delivery = stack.now(), ResultsTable(stack), Delivery(stack)
    if reviews:
        photos = table.find(now - since, outcome="LOW_CONFIDENCE")
        uris = (one.object_uri for one in (photos if dry_run else redrive.send_to_review(stack, photos)))
        count = print_lines(json.dumps({"photo": uri}) if as_json else visible(uri) for uri in uris)
        say(f"{plural(count, 'photo')} for review")
        return 0
    debts = delivery.undelivered(now - older_than) if missing else iter(())
    starts = redrive.recorded(table, outcome or "FAILED", now - since)
    if missing:
        starts = redrive.without_outcome(stack, table, now - since, now - older_than)
        if not dry_run:  # receiving messages hides them from others for a while
            starts = chain(redrive.undelivered_uploads(stack), starts)
    if dry_run:
        late = print_lines(_debt(item, "event not published", as_json=as_json) for item in debts)
        count = print_lines(json.dumps(one.input) if as_json else visible(one.photo) for one in starts)
        if late:
            say(f"{plural(late, 'event')} would be published")
        say(f"{plural(count, 'photo')} would be started again")
        return 0
    begun = time.monotonic()
    paid = (item for item in debts if delivery.deliver(item))
    delivered = print_lines(_debt(item, "event published", as_json=as_json) for item in paid)
    started = list(progress(redrive.start(stack, starts, rate), title="starting", unit="photo"))
    results = list(_follow(stack, started, timeout, as_json=as_json))
    counts = Counter(one.outcome for one in results)
    summary: dict[str, float] = {"photos": len(results), **{name: counts[name] for name in OUTCOMES}}
    summary |= {"unfinished": counts[None], "delivered": delivered}
    summary |= {"seconds": round(time.monotonic() - begun, 3)}
    if as_json:
        print(json.dumps({"summary": summary}))
    else:
        _conclude(summary)
    return FAILED if counts["FAILED"] or counts[None] else 0


def _debt(item: Item, state: str, *, as_json: bool) -> str:
    photo, outcome = item["object_uri"]["S"], item["outcome"]["S"]
    if as_json:
        return json.dumps({"photo": photo, "outcome": outcome, "delivered": ["event"]})
    return f"{outcome:<14} {visible(photo)}  {state}"


def _follow(stack: Stack, started: list[Redriven], timeout: float, *, as_json: bool) -> Iterator[Redriven]:
    """Follow executions that can be followed; print what became of each."""
    if express := any(is_express(one.execution_arn) for one in started):
        say("an EXPRESS workflow keeps no executions: see `operations results` for the outcomes")
    ended = started if express else redrive.follow(stack, started, timeout)
    for one in progress(ended, total=len(started), title="waiting", unit="photo"):
        if as_json:
            print(json.dumps(asdict(one)))
        elif one.outcome:
            print(f"{one.outcome:<14} {visible(one.photo)}{f'  {visible(one.error)}' if one.error else ''}")
        yield one


def _conclude(summary: dict[str, float]) -> None:
    if summary["delivered"]:
        say(f"{plural(int(summary['delivered']), 'event')} published late")
    if not summary["photos"]:
        say("no such photo: nothing was started")
    else:
        photos = plural(int(summary["photos"]), "photo")
        counts = ", ".join(f"{summary[name]} {name}" for name in OUTCOMES)
        say(f"{photos} started again: {counts}, {summary['unfinished']} unfinished")
