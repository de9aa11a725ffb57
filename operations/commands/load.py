"""`operations load`."""

import json

import click

from commandline.errors import FAILED
from commandline.options import SECONDS, FiniteRange, json_option
from commandline.terminal import say
from operations.load import DEFAULT_MIX, Load, Plan, balances, latencies, parse_mix
from operations.outcomes import OUTCOMES
from operations.stack import StackChoice, stack_options


@click.command("load")
@stack_options
@click.option("--rate", type=FiniteRange(0.01, 1000), default=1, help="Photos a second, on average.")
@click.option("--duration", type=SECONDS, default=60, help="For how long photos are sent.")
@click.option("--burst", type=click.IntRange(0, 10_000), default=0, help="Photos at once; 0: one by one.")
@click.option("--mix", default=DEFAULT_MIX, help="Shares of good, doubtful, broken, duplicate, overwritten.")
@click.option("--seed", type=int, default=0, help="Equal seeds send the same photos at the same times.")
@click.option("--timeout", type=SECONDS, default=180, help="How long to wait after the last photo.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    rate: float,
    duration: float,
    burst: int,
    mix: str,
    seed: int,
    timeout: float,
    as_json: bool,
) -> int:
    r"""Send drawn photos on a schedule and balance the account: sent, outcomes, lost, duplicates.

    Latency is from when a photo was due to when its outcome was recorded. With --json the last line is the
    summary. Exit code 0 if every version of every photo has exactly one outcome. The photos stay under
    incoming/load/, and doubtful ones go to the review queue: use a stack that nobody relies on.

    \b
    Example:
      scones load --rate 5 --duration 60 --mix good=.9,doubtful=.1
    """
    plan = Plan(rate, duration, burst, parse_mix(mix), seed)
    stack = choice.find()
    say(f"{len(plan.arrivals())} photos in {duration:g} s to the stack {stack.name}, seed {seed}")
    account = Load(stack, plan).run(timeout)
    summary = account.summary()
    for message in account.unsent:
        say(f"not sent: {message}")
    for uri, version in sorted(account.lost()):
        say(f"lost: {uri} {version}")
    if as_json:
        print(json.dumps({"summary": summary}))
    else:
        counts = ", ".join(f"{summary['outcomes'][name]} {name}" for name in OUTCOMES)
        print(f"sent {summary['sent']}: {counts}; lost {summary['lost']}, duplicates {summary['duplicates']}")
        print(f"from due to recorded: {latencies(summary)}")
    return 0 if balances(summary) else FAILED
