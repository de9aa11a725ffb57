"""The labelled photos of a deployed stack: copies that the review desk keeps of every decided photo."""

from pathlib import Path, PurePosixPath
from typing import Final

import boto3
from botocore.exceptions import ClientError

from commandline.terminal import progress
from model_build.errors import ModelBuildError

LABELLED: Final = "labelled/"
BUCKET_OUTPUT: Final = "PhotoBucketName"


def download_labelled(stack_name: str, folder: Path, session: boto3.Session) -> int:
    """Make a folder equal to the bucket's `labelled/<label>/`; photos that are there are not read again.

    Returns:
        The number of photos.

    Raises:
        ModelBuildError: there is no such stack, or nobody has decided on a photo yet.
    """
    s3, bucket = session.client("s3"), _bucket(stack_name, session)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=LABELLED)
    found = {one["Key"]: one["Size"] for page in pages for one in page.get("Contents", []) if one["Size"]}
    if not found:
        raise ModelBuildError(
            f"stack {stack_name}: nobody has decided on a photo yet; `scones review` serves the desk"
        )
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


def _bucket(stack_name: str, session: boto3.Session) -> str:
    try:
        stack = session.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    except ClientError as error:
        raise ModelBuildError(f"stack {stack_name}: {error.response['Error']['Message']}") from error
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
    if BUCKET_OUTPUT not in outputs:
        raise ModelBuildError(f"stack {stack_name} has no output {BUCKET_OUTPUT}: is it this application's?")
    return outputs[BUCKET_OUTPUT]
