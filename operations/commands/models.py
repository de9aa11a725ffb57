"""`model list`: the models that an endpoint has had, and how they did."""

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import click

from commandline.aws import Session
from commandline.errors import CommandError
from commandline.options import Duration, json_option
from commandline.terminal import say
from operations.results import Record, ResultsTable
from operations.stack import StackChoice, StackError, stack_options


@dataclass
class Photos:
    """What became of the photos that a model answered; `decided` and `overruled` are people's decisions."""

    answered: int = 0
    accepted: int = 0
    decided: int = 0
    overruled: int = 0


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


def count(records: Iterable[Record]) -> dict[str, Photos]:
    """Count photos by the model that answered."""
    photos: dict[str, Photos] = {}
    for record in records:
        if record.model_version is None:
            continue
        mine = photos.setdefault(record.model_version, Photos())
        mine.answered += 1
        mine.accepted += (record.confidence or 0) >= (record.threshold or 0)
        mine.decided += record.decided_by is not None
        # A person who sees none of the labels leaves the record without one.
        mine.overruled += record.decided_by is not None and record.label != record.model_label
    return photos


def models(session: Session, endpoint_name: str, photos: dict[str, Photos] | None) -> list[dict[str, Any]]:
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
                    "photos": None if photos is None else asdict(photos.get(model, Photos())),
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
