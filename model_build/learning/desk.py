"""What a deployed stack has to learn from: copies of the photos that people decided on at the review desk."""

from pathlib import Path, PurePosixPath
from typing import Final

import boto3
from botocore.exceptions import ClientError

from commandline.terminal import progress
from model_build.errors import ModelBuildError

LABELLED: Final = "labelled/"
SAMPLE: Final = 20_000  # records; a table is read in the order of its keys' hashes: the first are random


def stack_outputs(stack_name: str, session: boto3.Session) -> dict[str, str]:
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


def download_labelled(bucket: str, folder: Path, session: boto3.Session) -> int:
    """Make a folder equal to the bucket's `labelled/<label>/`, and return the number of photos.

    Photos that are there already are not read again. Without any photo it is a ModelBuildError.
    """
    s3 = session.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=LABELLED)
    found = {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", []) if one["Size"]}
    if not found:
        raise ModelBuildError(f"{bucket}: nobody has decided on a photo yet; `scones review` serves the desk")
    wanted = {key: folder / PurePosixPath(key).relative_to(LABELLED) for key in found}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path not in wanted.values():
            path.unlink()  # undone, decided otherwise, or forgotten
    for key in progress(sorted(wanted), total=len(wanted), title="labelled photos", unit="photo"):
        path = wanted[key]
        if not path.is_file() or path.stat().st_size != found[key]:
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(path))
    return len(wanted)


def accepted_share(table: str, session: boto3.Session) -> float | None:
    """Return the share of classified photos that the models accepted; None if they accepted none."""
    scan = session.client("dynamodb").get_paginator("scan")
    pages = scan.paginate(
        TableName=table,
        ProjectionExpression="confidence, threshold",
        PaginationConfig={"MaxItems": SAMPLE},
    )
    accepted = [
        float(one["confidence"]["N"]) >= float(one["threshold"]["N"])
        for page in pages
        for one in page["Items"]
        if one.keys() >= {"confidence", "threshold"}
    ]
    return sum(accepted) / len(accepted) if any(accepted) else None
