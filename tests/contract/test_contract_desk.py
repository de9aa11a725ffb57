"""The review desk shows what the workflow reads, with the same decoder; the page lists its permissions."""

import re

from operations.photos.pictures import MAX_PIXELS, MOST_BYTES
from tests.contract.test_contract_roles import calls_in_code
from tests.support.sam_app import ROOT, constant


def test_heic_is_decoded_by_one_version() -> None:
    deployed = "functions/serialize_image/requirements-heif.txt"
    files = [
        (ROOT / file).read_text() for file in (deployed, "requirements/run.txt", "requirements/test.txt")
    ]
    assert len({re.findall(r"^pillow-heif==(\S+)", file, re.MULTILINE)[0] for file in files}) == 1


def test_no_stack_accepts_more_than_the_desk_shows() -> None:
    assert (constant("Photo", "MaxPixels"), constant("Photo", "MaxObjectBytes")) == (MAX_PIXELS, MOST_BYTES)


OF_THE_DESK = (
    *("review", "results.py", "delivery.py", "photos/labelled.py", "photos/traces.py", "stack.py"),
    *("executions.py", "status.py"),
)
"""Modules of operations that the desk runs; the calls of theirs that it never makes are the next ones."""
NEVER = {"dynamodb:Scan", "dynamodb:DeleteItem", "cloudformation:GetTemplate"}
NEVER |= {"sagemaker:Search", "events:DescribeEndpoint", "sns:Publish"}
PERMISSIONS = {
    "s3:CopyObject": {"s3:GetObjectVersion", "s3:PutObject"},
    "s3:GetObject": {"s3:GetObject", "s3:GetObjectVersion"},
    "s3:ListObjectVersions": {"s3:ListBucketVersions"},
}


def test_the_page_lists_the_permissions_of_the_desk() -> None:
    found = [ROOT / "operations" / name for name in OF_THE_DESK]
    used = calls_in_code(file for path in found for file in (path.glob("*.py") if path.is_dir() else [path]))
    needed = set().union(*(PERMISSIONS.get(one, {one}) for one in used - NEVER))
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"derives the list from its code: (.+?)\n\n", page, re.DOTALL)
    assert set(re.findall(r"`(\w+:\w+)`", listed)) == needed
