"""`model list`: the models that an endpoint has had, and how they did."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import click

from commandline.aws import Session
from commandline.errors import CommandError
from commandline.options import Duration, json_option
from commandline.terminal import say
from operations.results import Record, ResultsTable
from operations.stack import StackChoice, StackError, stack_options

Photos = defaultdict[str, Counter[str]]
"""By model, how many photos it answered and accepted, and on how many people decided, how often otherwise."""
_COUNTED: Final = ("answered", "accepted", "decided", "overruled")


@click.command("list")
@stack_options
@click.option("--endpoint-name", help="The endpoint.  [default: the one that the stack asks]")
@click.option(
    "--since",
    type=Duration(),
    default=timedelta(days=7),
    show_default=False,
    help="Count the photos that were recorded in this time.  [default: 7d]",
)
@json_option
def list_command(*, choice: StackChoice, endpoint_name: str | None, since: timedelta, as_json: bool) -> None:
    r"""List the models that an endpoint has had, the one that answers marked, the newest last.

    Shows since when, the accuracy that was measured in training, and of the photos of --since how many each
    model answered, how many of these it accepted, and on how many people decided, how often otherwise.

    \b
    Example:
      scones model list --since 30d
    """
    from model_build.endpoint.steps import DEFAULT_ENDPOINT  # noqa: PLC0415 - it takes AWS's SDK

    session, photos = choice.session(), None
    try:
        stack = choice.find()
        endpoint_name = endpoint_name or stack.parameters.get("EndpointName")
        photos = count(ResultsTable(stack).find(since=stack.now() - since))
    except StackError as error:
        say(f"no photos are counted: {error}")
    found = models(session, endpoint_name or DEFAULT_ENDPOINT, photos)
    if as_json:
        print(json.dumps(found))
    else:
        print("\n".join(line(one) for one in found) or f"no model was deployed to {endpoint_name}")


def count(records: Iterable[Record]) -> Photos:
    """Count photos by the model that answered."""
    photos: Photos = defaultdict(Counter)
    for record in (one for one in records if one.model_version is not None):
        accepted, decided = (record.confidence or 0) >= (record.threshold or 0), record.decided_by is not None
        # A person who sees none of the labels leaves the record without one.
        overruled = decided and record.label != record.model_label
        flags = True, accepted, decided, overruled
        photos[str(record.model_version)].update(dict(zip(_COUNTED, map(int, flags), strict=True)))
    return photos


def models(session: Session, endpoint_name: str, photos: Photos | None) -> list[dict[str, Any]]:
    """Return the models that an endpoint has had, by when they were deployed last."""
    from model_build.endpoint.aws import explained  # noqa: PLC0415 - see above
    from model_build.endpoint.found import history, look, read_facts  # noqa: PLC0415

    with explained(f"looking up endpoint {endpoint_name}"):
        found = look(session, endpoint_name)
        latest = {model: (config, at) for config, model, at in history(session, found)}
        rows = []
        for model, (_, at) in sorted(latest.items(), key=lambda item: item[1]):
            described: Any = session.client("sagemaker").describe_model(ModelName=model)
            url, facts = described["PrimaryContainer"]["ModelDataUrl"], {}
            with suppress(CommandError):  # the archive was deleted
                facts = read_facts(session, url)
            rows.append(
                {
                    "model": model,
                    "serving": model == found.variant.get("ModelName"),
                    "deployed_at": at.isoformat(timespec="seconds"),
                    "model_data_url": url,
                    **{name: facts.get(name) for name in ("labels", "default_threshold", "metrics")},
                    "photos": None if photos is None else {name: photos[model][name] for name in _COUNTED},
                }
            )
    return rows


def line(one: dict[str, Any]) -> str:
    """Return a model as a line for a person."""
    metrics = one["metrics"] or {}
    accuracy = metrics.get("photos", metrics).get("accuracy")  # of photos, where it was measured
    mark, since = ("*", "serves since") if one["serving"] else (" ", "deployed")
    parts = [
        f"{mark} {one['model']}",
        f"{since} {one['deployed_at'][:16].replace('T', ' ')}",
        ",".join(one["labels"] or ["labels unknown"]),
        "accuracy unknown" if accuracy is None else f"accuracy {accuracy:.3f}",
    ]
    if photos := one["photos"]:
        parts.append(f"{photos['answered']:,} photos, {photos['accepted']:,} accepted")
        parts.append(f"{photos['decided']:,} decided by people, {photos['overruled']:,} otherwise")
    return "  ".join(parts)
