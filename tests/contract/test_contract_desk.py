"""The review desk shows what the workflow reads, with the same decoder; the page lists its permissions."""

import ast
import re
from pathlib import Path

import botocore.session

from operations.photos.pictures import MAX_PIXELS, MOST_BYTES
from tests.support.sam_app import constant

ROOT = Path(__file__).resolve().parents[2]


def test_heic_is_decoded_by_one_version() -> None:
    files = (
        "functions/serialize_image/requirements-heif.txt",
        "requirements/run.txt",
        "requirements/test.txt",
    )
    found = {re.findall(r"^pillow-heif==(\S+)", (ROOT / file).read_text(), re.MULTILINE)[0] for file in files}
    assert len(found) == 1


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
    files = [file for path in found for file in (path.glob("*.py") if path.is_dir() else [path])]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.func.attr for call in calls if isinstance(call.func, ast.Attribute)}
    names |= {
        str(one.value) for call in calls for one in call.args if isinstance(one, ast.Constant)
    }  # paginators
    used = set()
    for service in (
        *("cloudformation", "cloudwatch", "dynamodb", "events", "logs", "s3", "sagemaker", "sns", "sqs"),
        "stepfunctions",
    ):
        model = botocore.session.get_session().get_service_model(service)
        prefix = {"stepfunctions": "states"}.get(service, service)
        used |= {f"{prefix}:{one}" for one in model.operation_names if botocore.xform_name(one) in names}
    needed = set().union(*(PERMISSIONS.get(one, {one}) for one in used - NEVER))
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"derives the list from its code: (.+?)\n\n", page, re.DOTALL)
    assert set(re.findall(r"`(\w+:\w+)`", listed)) == needed
