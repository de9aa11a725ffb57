"""`localcloud fault`."""

import json
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from commandline.errors import UsageError
from commandline.options import POSITIVE, PROBABILITY, SECONDS, json_option
from commandline.terminal import plural, say
from localcloud.faults import PLACES, Fault
from localcloud.options import state_option
from localcloud.state import StateFolder


@click.group("fault")
def command() -> None:
    r"""Break parts of the local cloud on purpose, and see what becomes of the photos.

    \b
    Example:
      scones local fault set throttled --service sagemaker --rate 0.5
      scones send photo.jpg
      scones local fault clear
    """


@command.command("set")
@click.argument("name")
@click.option("--service", type=click.Choice(list(PLACES)), help="Where, if there are several places.")
@click.option("--operation", metavar="CALL", help="At which call; by default at all of the service's.")
@click.option("--rate", type=PROBABILITY, default=1.0, metavar="SHARE", help="Share of the calls.")
@click.option("--times", type=POSITIVE, metavar="N", help="How many calls at most.")
@click.option("--key", default="", metavar="TEXT", help="Only photos whose key has this (not sagemaker).")
@click.option("--seconds", type=SECONDS, default=2.0, help="How long, if it takes time.")
@click.option("--seed", type=int, default=0, help="Equal seeds hit the same calls.")
@state_option()
def set_command(*, name: str, service: str | None, operation: str | None, state: Path, **how: Any) -> None:
    r"""Switch a fault on, beside those that are on. `fault list --known` shows which there are.

    \b
    Example:
      scones local fault set crash --service lambda --operation ClassifyImage --times 1
    """
    place = _place(name, service, operation)
    file = StateFolder(state).faults
    file.save([*file.load(), Fault(uuid.uuid4().hex[:8], name, place, operation or "", **how)])
    say(f"{name} of {place} is on: {PLACES[place].faults[name]}")


def _place(name: str, service: str | None, operation: str | None) -> str:
    """Return the service of a fault; raise a UsageError if there is none, or if it is not clear which."""
    places = [one for one, place in PLACES.items() if name in place.faults and service in {None, one}]
    if not places:
        where = f" of {service}" if service else ""
        raise UsageError(f"there is no fault {name!r}{where}; `fault list --known` shows all")
    if len(places) > 1:
        raise UsageError(f"{name}: of which --service? {', '.join(places)}")
    operations = PLACES[places[0]].operations
    if operation and operation not in operations:
        raise UsageError(f"{places[0]} has no --operation {operation}; it has {', '.join(operations)}")
    return places[0]


@command.command("list")
@click.option("--known", is_flag=True, help="List all faults that there are instead.")
@state_option()
@json_option
def list_command(*, known: bool, state: Path, as_json: bool) -> None:
    r"""Show the faults that are on, and how many calls each has hit.

    \b
    Example:
      scones local fault list --known
    """
    if known:
        for service, place in PLACES.items():
            for name, text in place.faults.items():
                line = {"service": service, "name": name, "operations": place.operations, "what": text}
                print(json.dumps(line) if as_json else f"{service:<10} {name:<13} {text}")
        return
    file = StateFolder(state).faults
    faults, hits = file.load(), file.hits()
    if not faults and not as_json:
        say("no fault is on")
    for one in faults:
        count, where = hits.get(one.id, 0), f"{one.service} {one.operation}".strip()
        text = f"{one.id}  {one.name} of {where}, {one.rate:.0%} of the calls: {plural(count, 'hit')}"
        print(json.dumps({**asdict(one), "hits": count}) if as_json else text)


@command.command("clear")
@state_option()
def clear_command(*, state: Path) -> None:
    r"""Switch all faults off.

    \b
    Example:
      scones local fault clear
    """
    StateFolder(state).faults.clear()
    say("no fault is on")
