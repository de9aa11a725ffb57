"""What a batch is about: prefixes and lists in every supported form."""

import gzip
import json
from typing import Any

import pytest

from commandline.errors import UsageError
from operations.batch.manifest import listed, under, without_outcome
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, deployed_stack, put_record

LISTS = "lists"


@pytest.fixture
def stack(aws: None) -> Stack:
    del aws
    stack = deployed_stack()
    stack.client("s3").create_bucket(
        Bucket=LISTS, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return stack


def upload(stack: Stack, key: str, body: bytes = b"1") -> str:
    version: str = stack.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]
    return version


def put_list(stack: Stack, key: str, body: str | bytes) -> str:
    stack.client("s3").put_object(Bucket=LISTS, Key=key, Body=body)
    return f"s3://{LISTS}/{key}"


def test_a_prefix_has_the_latest_versions(stack: Stack) -> None:
    upload(stack, "incoming/2026/a.jpg")
    latest = upload(stack, "incoming/2026/a.jpg", b"2")
    upload(stack, "incoming/2025/b.jpg")
    upload(stack, "incoming/2026/deleted.jpg")
    stack.client("s3").delete_object(Bucket=BUCKET, Key="incoming/2026/deleted.jpg")
    assert list(under(stack, "incoming/2026/")) == [("incoming/2026/a.jpg", latest)]


def test_photos_are_under_incoming_only(stack: Stack) -> None:
    with pytest.raises(UsageError, match="photos are under incoming/"):
        list(under(stack, "runs/"))
    uri = put_list(stack, "list.jsonl", '{"key": "labelled/a.jpg"}\n')
    with pytest.raises(UsageError, match=r"labelled/a\.jpg is not under incoming/"):
        list(listed(stack, uri))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.jsonl", '{"key": "incoming/ä b.jpg", "version_id": "v1"}\n\n{"s3_key": "incoming/c.jpg"}\n'),
        ("a.csv", "key,version_id\nincoming/ä b.jpg,v1\nincoming/c.jpg,\n"),
        ("bom.csv", "\ufeffKey,VersionId\nincoming/ä b.jpg,v1\nincoming/c.jpg,\n"),
    ],
)
def test_a_list_names_keys_and_perhaps_versions(stack: Stack, name: str, body: str) -> None:
    latest = upload(stack, "incoming/c.jpg")
    uri = put_list(stack, name, body.encode())
    assert list(listed(stack, uri)) == [("incoming/ä b.jpg", "v1"), ("incoming/c.jpg", latest)]


def test_a_key_without_an_object_stays_in_the_list(stack: Stack) -> None:
    upload(stack, "incoming/gone.jpg.other")
    uri = put_list(stack, "a.jsonl", '{"key": "incoming/gone.jpg"}')
    assert list(listed(stack, uri)) == [("incoming/gone.jpg", "null")]


def inventory(stack: Stack, **changed: Any) -> str:
    rows = (
        f'"{BUCKET}","incoming/a%20b.jpg","v1","true","false"\n'
        f'"{BUCKET}","incoming/a%20b.jpg","v0","false","false"\n'
        f'"{BUCKET}","incoming/marker.jpg","v2","true","true"\n'
    )
    put_list(stack, "data/1.csv.gz", gzip.compress(rows.encode()))
    manifest = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{LISTS}",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker",
        "files": [{"key": "data/1.csv.gz"}],
        **changed,
    }
    return put_list(stack, "daily/manifest.json", json.dumps(manifest))


def test_an_inventory_is_read_as_s3_writes_it(stack: Stack) -> None:
    assert list(listed(stack, inventory(stack))) == [("incoming/a b.jpg", "v1")]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"fileFormat": "ORC"}, "in ORC, not in CSV"),
        ({"sourceBucket": "other"}, "an inventory of other"),
    ],
)
def test_an_inventory_of_another_kind_is_refused(stack: Stack, changed: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        list(listed(stack, inventory(stack, **changed)))


@pytest.mark.parametrize("uri", ["list.jsonl", "s3://lists", "s3://lists/a.txt"])
def test_what_is_no_list_is_refused(stack: Stack, uri: str) -> None:
    put_list(stack, "a.txt", "incoming/a.jpg")
    with pytest.raises(UsageError, match="--manifest"):
        list(listed(stack, uri))


def test_a_line_without_a_key_is_shown(stack: Stack) -> None:
    uri = put_list(stack, "a.jsonl", '{"photo": "incoming/a.jpg"}')
    with pytest.raises(UsageError, match="has no member `key`"):
        list(listed(stack, uri))


def test_photos_with_an_outcome_are_left_out_and_failed_ones_are_not(stack: Stack) -> None:
    put_record(stack, "incoming/done.jpg", "REJECTED")
    put_record(stack, "incoming/failed.jpg", "FAILED")
    photos = [(f"incoming/{name}.jpg", "v1") for name in ("done", "failed", "new")]
    assert list(without_outcome(stack, photos)) == photos[1:]
