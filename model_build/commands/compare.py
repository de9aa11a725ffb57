"""The command `compare`."""

import json
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import Session, open_session
from commandline.errors import FAILED, UsageError
from commandline.options import FOLDER, PATH, PROBABILITY, json_option, timeout_option, trust_code_option
from commandline.terminal import plural, say
from model_build.archive.container_images import image_of
from model_build.archive.loaded_model import open_model
from model_build.archive.prepare import download
from model_build.endpoint.deploy import DEFAULT_TIMEOUT_S, ready_archive, replacement
from model_build.endpoint.found import Found, look_serving
from model_build.evaluation.comparison import Comparison, compare_models
from model_build.evaluation.predictions import OTHER


@click.command()
@click.option("--model", type=PATH, required=True, help="The new one: folder, archive, or name in `list`.")
@click.option(
    "--photos",
    type=FOLDER,
    required=True,
    metavar="DIR",
    help=f"Labelled photos: DIR/<label>/, and out-of-distribution ones in DIR/{OTHER}/.",
)
@click.option("--endpoint-name", help="Compare with the model that this endpoint serves.")
@click.option("--against", type=PATH, metavar="MODEL", help="Compare with this model, given as --model is.")
@click.option(
    "--coverage",
    type=PROBABILITY,
    metavar="SHARE",
    help="Share of the photos that the serving model accepts in production (see `operations report`). Needed "
    "if photos were labelled because it was doubtful: of those, only their share in production is compared.",
)
@click.option(
    "--threshold",
    type=PROBABILITY,
    metavar="T",
    help="Confidence from which a prediction is accepted.  [default: each model's own]",
)
@click.option("--deploy", is_flag=True, help="Deploy the new model to the endpoint if it is better.")
@click.option("--fail-unless-better", is_flag=True, help="Exit with 1 if it is not better.")
@timeout_option(DEFAULT_TIMEOUT_S)
@trust_code_option
@json_option
def compare_command(  # noqa: PLR0913 - one parameter per option
    *,
    model: Path,
    photos: Path,
    endpoint_name: str | None,
    against: Path | None,
    coverage: float | None,
    threshold: float | None,
    deploy: bool,
    fail_unless_better: bool,
    timeout_seconds: float,
    trust_code: bool,
    as_json: bool,
) -> int:
    r"""Compare a new model with the one that serves, and deploy it if it is better.

    Both classify the same labelled photos; those that either was trained on are left out. The new model is
    better if McNemar's exact test says so at a significance level of 5 %, and it does not accept more wrong
    predictions. Otherwise nothing is deployed, and the answer says about how many photos are missing.

    --deploy keeps the endpoint's settings. Exit code 0 whatever the verdict; with --fail-unless-better 1 if
    the new model is not better.

    \b
    Example:
      scones model compare --model build/model --photos labelled --coverage 0.92 \
          --endpoint-name scones-vehicle-classifier --deploy
    """
    if (endpoint_name is None) == (against is None):
        raise UsageError("give --endpoint-name or --against: the model to compare with")
    if deploy and endpoint_name is None:
        raise UsageError("--deploy needs --endpoint-name")
    if coverage == 0:
        raise UsageError("--coverage 0: the share of accepted photos is above 0")
    session = open_session()
    serving = None if endpoint_name is None else look_serving(session, endpoint_name)
    new = _location(model, session)
    old = serving.model_data_url if serving else _location(against or model, session)
    rest: dict[str, Any] = {"coverage": coverage, "threshold": threshold, "trust_code": trust_code}
    found = compared(new, old, photos, session, **rest)
    result: dict[str, Any] | None = None
    if deploy and found.better and serving is not None:
        result = replace_model(serving, new, session, timeout_seconds, trust_code=trust_code)
    if as_json:
        print(json.dumps({**found.as_json(), "deployed": result}))
    else:
        show(found)
        if deploy:
            print(result_of(result))
    return FAILED if fail_unless_better and not found.better else 0


def compared(  # noqa: PLR0913 - what `compare` is given
    new: Path | str,
    old: Path | str,
    photos: Path,
    session: Session,
    *,
    coverage: float | None,
    threshold: float | None = None,
    trust_code: bool = False,
) -> Comparison:
    """Compare two models, each a path or the `s3://` URI of an archive."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = [
            one if isinstance(one, Path) else download(one, scratch / f"{number}.tar.gz", session)
            for number, one in enumerate((new, old))
        ]
        first, second = (stack.enter_context(open_model(path, trust_code=trust_code)) for path in paths)
        return compare_models(first, second, photos, coverage=coverage, threshold=threshold)


def replace_model(
    serving: Found,
    model: Path | str,
    session: Session,
    timeout_seconds: float = DEFAULT_TIMEOUT_S,
    *,
    trust_code: bool = False,
) -> dict[str, Any]:
    """Deploy a model to an endpoint that serves, with its settings; return what `--json` prints of it."""
    image = image_of(str((serving.model or {})["PrimaryContainer"]["Image"]))
    with ready_archive(model, image, session, trust_code=trust_code) as archive:
        return asdict(replacement(serving, archive, session).carry_out(session, timeout_seconds))


def _location(model: Path, session: Session) -> Path | str:
    """Return a path that exists, or the `s3://` URI of the archive of a deployed model of that name."""
    if model.exists():
        return model
    try:
        found = session.client("sagemaker").describe_model(ModelName=str(model))
    except (ClientError, BotoCoreError) as error:
        raise UsageError(f"{model}: no such folder or file, and no model in `scones model list`") from error
    return str(found["PrimaryContainer"]["ModelDataUrl"])


def show(found: Comparison) -> None:
    """Print the figures of both models and the verdict; what was not compared to standard error."""
    for message in found.unreadable:
        say(f"not compared: {message}")
    if found.trained_on:
        say(f"{plural(found.trained_on, 'photo')} left out: a model was trained on them")
    if found.thinned:
        say(f"{plural(found.thinned, 'photo')} left out: there are more doubtful ones than in production")
    figures = found.as_json()
    print(f"{'':26}{'new':>9}{'serving':>9}")
    for name in ("right", "accepted", "right_of_accepted"):
        values = [figures[side][name] for side in ("new", "serving")]
        new, serving = ("-" if value is None else f"{value:.3f}" for value in values)
        print(f"{name.replace('_', ' '):26}{new:>9}{serving:>9}")
    print(found.sentence())


def result_of(deployed: dict[str, Any] | None) -> str:
    """Return in a line whether the new model was deployed."""
    if deployed is None:
        return "not deployed"
    return f"endpoint {deployed['endpoint_name']} updated: version {deployed['version']} is in service"
