"""The command `learn`."""

import json
import sys
from pathlib import Path, PurePosixPath
from typing import Any, Final

import click
from botocore.exceptions import ClientError

from commandline.aws import Session, open_session
from commandline.errors import UsageError
from commandline.options import FOLDER, PATH, PROBABILITY, json_option
from commandline.terminal import plural, progress, say
from model_build.archive.manifest import Manifest
from model_build.archive.package import DEFAULT_MODEL
from model_build.commands import compare
from model_build.endpoint.found import Found, look_serving
from model_build.errors import ModelBuildError
from model_build.evaluation.comparison import Comparison
from model_build.learning.head import Share
from model_build.learning.learn import SHOWN_WRONG, Learned, learn
from model_build.learning.photos import read_labelled

DESK_FOLDER: Final = Path("build/labelled")
DESK_HOLD_OUT: Final = 0.3
LABELLED: Final = "labelled/"
SAMPLE: Final = 20_000  # records; a table is read in the order of its keys' hashes: the first are random


@click.command()
@click.argument("folders", nargs=-1, type=FOLDER, metavar="DIR...")
@click.option(
    "--output", type=PATH, default=Path("build/learned"), metavar="DIR", help="Model folder to write."
)
@click.option(
    "--from-desk",
    is_flag=True,
    help="Learn from the photos that people decided on at the desk; compare the result with the model that "
    "serves, on those held out, and deploy it if it is better.",
)
@click.option(
    "--stack-name", default="scones", metavar="NAME", help="The stack of the desk, with --from-desk."
)
@click.option(
    "--hold-out",
    type=PROBABILITY,
    metavar="SHARE",
    help="Learn from all but this share of the photos, so that `compare` has some that the model never saw. "
    f"A photo's content decides.  [default: 0; {DESK_HOLD_OUT} with --from-desk]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, metavar="N", help="Of all that is random."
)
@click.option("--yes", is_flag=True, help="With --from-desk: deploy a better model without asking.")
@json_option
def learn_command(  # noqa: PLR0913 - one parameter per option
    folders: tuple[Path, ...],
    output: Path,
    stack_name: str,
    hold_out: float | None,
    seed: int,
    *,
    from_desk: bool,
    yes: bool,
    as_json: bool,
) -> None:
    r"""Learn classes from folders of photos.

    DIR has a folder of photos for each class, ten or more, and perhaps other/ with photos of none of them.
    The folders' names are the labels. A head is fitted on what the shipped networks see in the photos; for
    bicycle and motorcycle it corrects the shipped model. Ends with what the model will do on photos that it
    has not seen, measured by nested cross-validation: photos in one subfolder (DIR/van/blue_one/) and
    near-duplicates are never on both sides.

    With --from-desk the photos that nobody learned from, three of ten, judge: by the paired test of `scones
    model compare`, doubtful ones in the share that they have in production.

    \b
    Example:
      scones model learn parcels/
      scones local up --model build/learned
      scones model learn --from-desk
    """
    if not folders and not from_desk:
        raise UsageError("give a folder that has a folder of photos for each class, or --from-desk")
    session, serving, share = open_session(), None, None
    if from_desk:
        stack = stack_outputs(stack_name, session)
        serving = look_serving(session, stack["EndpointName"])
        share = accepted_share(stack["ResultsTableName"], session)
        download_labelled(stack["PhotoBucketName"], DESK_FOLDER, session)
        folders = (*folders, DESK_FOLDER)
        hold_out = DESK_HOLD_OUT if hold_out is None else hold_out
    photos, unreadable = read_labelled(folders, Manifest.read(DEFAULT_MODEL).labels, hold_out or 0.0)
    for message in unreadable:
        say(f"left out: {message}")
    learned = learn(photos, DEFAULT_MODEL, output, seed)
    found = {**learned.as_json(), "output": str(output), "unreadable": list(unreadable)}
    if not as_json:
        print("\n".join(report(learned)))
    if serving and hold_out:
        comparison = compare.compared(output, serving.model_data_url, DESK_FOLDER, session, coverage=share)
        deployed = _replace(comparison, serving, output, session, yes=yes, as_json=as_json)
        found["comparison"] = {**comparison.as_json(), "deployed": deployed}
    elif not as_json:
        print(f"next: scones local up --model {output}, or scones model deploy --model {output}")
    if as_json:
        print(json.dumps(found))


def _replace(  # noqa: PLR0913
    found: Comparison, serving: Found, model: Path, session: Session, *, yes: bool, as_json: bool
) -> dict[str, Any] | None:
    """Deploy a better model, if that is wanted; return what was deployed."""
    if not as_json:
        compare.show(found)
    question = f"Deploy {model} to endpoint {serving.endpoint_name}?"
    wanted = found.better and (yes or (sys.stdin.isatty() and click.confirm(question, err=True)))
    deployed = compare.replace_model(serving, model, session) if wanted else None
    if not as_json:
        print(compare.result_of(deployed))
        if found.better and not deployed:
            print(f"--yes deploys it; so does scones model deploy --model {model}")
    return deployed


def report(learned: Learned) -> list[str]:
    """Return what was learned, in lines for a person."""
    measured, threshold = learned.forecast, learned.manifest.default_threshold
    counts = ", ".join(f"{label} {count:,}" for label, count in learned.photos.counts().items())
    lines = [
        f"learned from {plural(len(learned.photos.images), 'photo')}: {counts}",
        f"on photos that it has not seen, threshold {threshold:g} (95 % intervals):",
        f"  right              {_share(measured.accuracy)}",
        f"  accepted           {_share(measured.coverage)}",
        f"  right of accepted  {_share(measured.selective)}: at most {measured.error_bound:.1%} are wrong",
        f"  others accepted    {_share(measured.others)}",
        "fewer photos would have given:",
        *(f"  {each:6,} a class  {value:.3f} right" for each, value in measured.curve),
    ]
    if not measured.others.of:
        lines.append("photos of other things will be accepted as one of these: put some into a folder other/")
    wrong = learned.wrong()
    if wrong:
        lines.append(f"wrong, the surest first ({len(wrong)}):")
        lines += [
            f"  {one['file']}: {one['predicted']} {one['confidence']:.3f}" for one in wrong[:SHOWN_WRONG]
        ]
    return lines


def _share(share: Share) -> str:
    if share.value is None:
        return "no photos to measure it"
    low, high = share.interval
    return f"{share.value:.3f}  ({low:.3f} to {high:.3f}, {share.count:,} of {share.of:,})"


def stack_outputs(stack_name: str, session: Session) -> dict[str, str]:
    """Return the outputs of a stack of this application; a ModelBuildError if it is none."""
    try:
        stack = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        raise ModelBuildError(f"stack {stack_name}: {error.response['Error']['Message']}") from error
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
    for name in ("PhotoBucketName", "ResultsTableName", "EndpointName"):
        if name not in outputs:
            raise ModelBuildError(f"stack {stack_name} has no output {name}: is it this application's?")
    return outputs


def download_labelled(bucket: str, folder: Path, session: Session) -> None:
    """Make a folder equal to the bucket's `labelled/<label>/`; photos that are there are not read again."""
    s3 = session.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=LABELLED)
    found = {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", []) if one["Size"]}
    if not found:
        raise ModelBuildError(f"{bucket}: nobody has decided on a photo yet; `scones review` serves the desk")
    wanted = {folder / PurePosixPath(key).relative_to(LABELLED): key for key in found}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in wanted:
            path.unlink()  # undone, decided otherwise, or forgotten
    for path, key in progress(wanted.items(), total=len(wanted), title="labelled photos", unit="photo"):
        if not path.is_file() or path.stat().st_size != found[key]:
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(path))


def accepted_share(table: str, session: Session) -> float | None:
    """Return the share of classified photos that the models accepted; None if they accepted none."""
    scan = session.client("dynamodb").get_paginator("scan")
    wanted = "confidence, threshold"
    pages = scan.paginate(TableName=table, ProjectionExpression=wanted, PaginationConfig={"MaxItems": SAMPLE})
    accepted = [
        float(one["confidence"]["N"]) >= float(one["threshold"]["N"])
        for page in pages
        for one in page["Items"]
        if one.keys() >= {"confidence", "threshold"}
    ]
    return sum(accepted) / len(accepted) if any(accepted) else None
