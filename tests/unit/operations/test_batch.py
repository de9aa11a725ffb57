"""Batches: prefixes and lists in every supported form; a run's input, results and summary; the command."""

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from commandline.errors import UsageError
from operations.batch import Run, Runs, listed, summarize, under
from operations.commands.batch import capped
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record, upload
from tests.support.commands import Scones

LISTS = "lists"
DEFINITION = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}
FUNCTIONS = ("SerializeImage", "ClassifyImage", "FilterInference")
FREE_CONCURRENCY = Runs.free_concurrency


@pytest.fixture
def stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setattr(Runs, "free_concurrency", lambda _: None)  # moto has no account settings
    region = {"LocationConstraint": "eu-west-1"}
    stack.client("s3").create_bucket(Bucket=LISTS, CreateBucketConfiguration=region)
    machine = stack.client("stepfunctions").create_state_machine(
        name="batch", definition=json.dumps(DEFINITION), roleArn="arn:aws:iam::123456789012:role/workflow"
    )
    outputs = {f"{name}FunctionName": name for name in FUNCTIONS}
    outputs |= {"ClassifyBatchStateMachineArn": machine["stateMachineArn"]}
    return replace(stack, outputs={**stack.outputs, **outputs})


def put_list(stack: Stack, key: str, body: str | bytes) -> str:
    stack.client("s3").put_object(Bucket=LISTS, Key=key, Body=body)
    return f"s3://{LISTS}/{key}"


def input_of(stack: Stack, run: Run) -> dict[str, Any]:
    """Return the input of a run's execution."""
    found = stack.client("stepfunctions").describe_execution(executionArn=run.execution_arn)
    return dict(json.loads(found["input"]))


def photos_of(stack: Stack, uri: str) -> list[tuple[str, str]]:
    return list(listed(stack, uri).photos())


def test_a_prefix_has_the_latest_versions(stack: Stack) -> None:
    upload(stack, "incoming/2026/a.jpg")
    latest = upload(stack, "incoming/2026/a.jpg", b"2")
    upload(stack, "incoming/2025/b.jpg")
    upload(stack, "incoming/2026/deleted.jpg")
    stack.client("s3").delete_object(Bucket=BUCKET, Key="incoming/2026/deleted.jpg")
    assert list(under(stack, "incoming/2026/").photos()) == [("incoming/2026/a.jpg", latest)]
    with pytest.raises(UsageError, match="photos are under incoming/"):
        under(stack, "runs/")


def test_a_photo_is_not_started_again_when_its_record_has_expired(stack: Stack) -> None:
    upload(stack, "incoming/old.jpg", days_ago=40)
    version = upload(stack, "incoming/new.jpg", days_ago=20)
    retaining = replace(stack, parameters={"ResultRetentionDays": "30"})
    assert list(under(retaining, "incoming/").photos()) == [("incoming/new.jpg", version)]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.jsonl", '{"key": "incoming/ä b.jpg", "version_id": "v1"}\n\n{"s3_key": "incoming/c.jpg"}\n'),
        ("a.jsonl.gz", '{"key": "incoming/ä b.jpg", "version_id": "v1"}\r\n{"Key": "incoming/c.jpg"}'),
        ("a.csv", "key,version_id\nincoming/ä b.jpg,v1\nincoming/c.jpg,\n"),
        ("bom.csv", "\ufeffKey,VersionId\nincoming/ä b.jpg,v1\nincoming/c.jpg,\n"),
        ("operations.csv", f'"{BUCKET}","incoming/%C3%A4+b.jpg","v1"\n{BUCKET},incoming/c.jpg\n'),
    ],
)
def test_a_list_names_keys_and_perhaps_versions(stack: Stack, name: str, body: str) -> None:
    latest = upload(stack, "incoming/c.jpg")
    uri = put_list(stack, name, gzip.compress(body.encode()) if name.endswith(".gz") else body.encode())
    assert photos_of(stack, uri) == [("incoming/ä b.jpg", "v1"), ("incoming/c.jpg", latest)]


def test_a_key_without_an_object_stays_in_the_list(stack: Stack) -> None:
    upload(stack, "incoming/gone.jpg.other")
    uri = put_list(stack, "a.jsonl", '{"key": "incoming/gone.jpg"}')
    assert photos_of(stack, uri) == [("incoming/gone.jpg", "null")]


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\u00a0", "\x0b", "\x1c"])
def test_lines_end_at_line_feeds_only(stack: Stack, odd: str) -> None:
    key = f"incoming/a{odd}b.jpg"
    if odd > "\x1f":  # control characters are escaped in JSON
        line = f'{{"key": "{key}", "version_id": "v1"}}\n'
        assert photos_of(stack, put_list(stack, "a.jsonl", line)) == [(key, "v1")]
    assert photos_of(stack, put_list(stack, "a.csv", f"key,version_id\n{key},v1\n")) == [(key, "v1")]


def test_a_photo_that_is_listed_twice_is_one(stack: Stack) -> None:
    version = upload(stack, "incoming/a.jpg")
    lines = [{"key": "incoming/a.jpg"}, {"key": "incoming/a.jpg", "version_id": version}] * 2
    found = listed(stack, put_list(stack, "a.jsonl", "\n".join(map(json.dumps, lines))))
    assert list(found.photos()) == [("incoming/a.jpg", version)]
    assert (found.found, found.left_out) == (1, {"listed before": 3})


WHOLE_BUCKET = (
    f'"{BUCKET}","incoming/a%20b.jpg","v1","true","false"\n'
    f'"{BUCKET}","incoming/a%20b.jpg","v0","false","false"\n'
    f'"{BUCKET}","incoming/marker.jpg","v2","true","true"\n'
    f'"{BUCKET}","incoming/","v3","true","false"\n'
    f'"{BUCKET}","labelled/bicycle/a.jpg","v4","true","false"\n'
    '"another","incoming/c.jpg","v5","true","false"\n'
)


def inventory(stack: Stack, **changed: Any) -> str:
    put_list(stack, "data/1.csv.gz", gzip.compress(WHOLE_BUCKET.encode()))
    manifest = {"sourceBucket": BUCKET, "destinationBucket": f"arn:aws:s3:::{LISTS}", "fileFormat": "CSV"}
    manifest |= {"fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker"}
    every = {**manifest, "files": [{"key": "data/1.csv.gz"}], **changed}
    kept = {name: value for name, value in every.items() if value is not None}
    return put_list(stack, "daily/manifest.json", json.dumps(kept))


@pytest.mark.parametrize("data_only", [False, True])
def test_an_inventory_of_the_whole_bucket_is_read_as_s3_writes_it(stack: Stack, *, data_only: bool) -> None:
    uri = put_list(stack, "data.csv", WHOLE_BUCKET) if data_only else inventory(stack)
    found = listed(stack, uri)
    assert list(found.photos()) == [("incoming/a b.jpg", "v1")]
    assert found.left_out == {"outside incoming/": 2, "of another bucket": 1}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"fileFormat": "ORC"}, "in ORC, not in CSV"),
        ({"sourceBucket": "other"}, "an inventory of other"),
        *(({name: None}, "lacks fileSchema") for name in ("fileSchema", "destinationBucket", "files")),
        ({"fileSchema": "Bucket, Size"}, "lacks fileSchema"),
        ({"files": [{}]}, "lacks fileSchema"),
        ({"sourceBucket": None}, "no S3 Inventory's manifest"),
    ],
)
def test_an_inventory_of_another_kind_is_refused(stack: Stack, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        photos_of(stack, inventory(stack, **changed))


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("a.txt", b"incoming/a.jpg", "none of JSON lines"),
        ("a.jsonl", '{"key": "incoming/a.jpg"}\r\n'.encode("utf-16"), "save it as UTF-8"),
        ("a.jsonl", '{"key": "incoming/a.jpg"}\r\n'.encode("utf-16-le"), "line 1 is not valid JSON"),
        ("a.csv", "key\nincoming/ä.jpg".encode("latin-1"), "save it as UTF-8"),
        ("a.jsonl", b'{"key": "incoming/a.jpg"}\n{"key": "incoming/b', "line 2 is not valid JSON"),
        ("a.csv", b'key\n"incoming/b', "it is no CSV"),
        ("a.csv", b'key\n"incoming/b"x"', "it is no CSV"),
        ("a.csv", b"photo\nincoming/a.jpg", "names no column `key`"),
        ("a.csv", b"key\n" + b"x" * 200_000, "it is no CSV"),
        ("a.csv", b"key,size\n,1", "row 1 has no `key`"),
        ("a.jsonl", b'[{"key": "incoming/a.jpg"}]', "line 1 is no JSON object"),
        ("a.jsonl", b'{"photo": "incoming/a.jpg"}', "row 1 has no `key`"),
        ("a.jsonl", b'{"key": 5}', "row 1: neither a key nor a version: 5"),
        ("a.jsonl", b'{"key": "incoming/a", "version_id": [1]}', "row 1: neither a key nor a version"),
        ("a.jsonl", b'{"key": "incoming/\\ud800"}', "row 1: neither a key nor a version"),
        ("a.jsonl", b'{"key": "incoming/' + b"a" * 1100 + b'"}', "row 1: neither a key nor a version"),
        ("a.jsonl", DEEP.encode(), "line 1 is not valid JSON"),
        ("a.jsonl.gz", b"no gzip", "cannot be decompressed"),
        ("a.jsonl.gz", gzip.compress(b"{}" * 99)[:-9], "cannot be decompressed"),
        ("manifest.json", b'[{"prefix": "s3://photos/incoming/"}, "a.jpg"]', "no S3 Inventory's manifest"),
        ("manifest.json", DEEP.encode(), "it is not valid JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_list_is_one_line(stack: Stack, name: str, body: bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        photos_of(stack, put_list(stack, name, body))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "uri", ["list.jsonl", "s3://lists", "s3:///a.csv", "s3://lists/gone.csv", "s3://no bucket/a.csv"]
)
@pytest.mark.usefixtures("stack")
def test_an_address_of_no_list_is_one_line(uri: str, scones: Scones) -> None:
    assert scones("batch", "--manifest", uri, "--dry-run") == 2
    assert ("Traceback" in scones.err, uri in scones.err) == (False, True)


def test_photos_with_an_outcome_are_left_out_and_failed_ones_are_not(stack: Stack) -> None:
    put_record(stack, "incoming/done.jpg", "REJECTED")
    put_record(stack, "incoming/failed.jpg", "FAILED")
    photos = [(f"incoming/{name}.jpg", "v1") for name in ("done", "failed", "new")]
    lines = "".join(json.dumps({"key": key, "version_id": version}) + "\n" for key, version in photos)
    assert list(listed(stack, put_list(stack, "a.jsonl", lines)).without_outcome()) == photos[1:]


def test_a_run_is_started_with_a_manifest_of_its_photos(stack: Stack) -> None:
    photos = [("incoming/a b.jpg", "v1"), ("incoming/ä.jpg", "v2")]
    run = Runs(stack).start(photos, 25)
    assert run
    assert run.photos == 2
    folder = f"runs/{run.name}"
    places = {"bucket": BUCKET, "manifest": f"{folder}/manifest.jsonl", "results": f"{folder}/results"}
    numbers = {"photos_a_child": 10, "children_at_a_time": 2, "tolerated_failure_percent": 5.0}
    assert input_of(stack, run) == {**places, **numbers, "reclassify": False, "announce": True}
    manifest = stack.client("s3").get_object(Bucket=BUCKET, Key=f"{folder}/manifest.jsonl")
    lines = [json.loads(line) for line in manifest["Body"].read().splitlines()]
    assert lines == [{"s3_key": key, "version_id": version} for key, version in photos]


@pytest.mark.parametrize(
    ("reserved", "account", "free"), [([None] * 3, 10, 10), ([5, 2, None], 900, 2), ([None, 50, 50], 3, 3)]
)
def test_photos_at_a_time_are_no_more_than_the_functions_take(
    stack: Stack, reserved: list[int | None], account: int, free: int
) -> None:
    answers = iter({} if one is None else {"ReservedConcurrentExecutions": one} for one in reserved)
    stack.clients["lambda"] = SimpleNamespace(
        get_function_concurrency=lambda **_: next(answers),
        get_account_settings=lambda: {"AccountLimit": {"UnreservedConcurrentExecutions": account}},
    )
    assert FREE_CONCURRENCY(Runs(stack)) == free


@pytest.mark.parametrize(("wanted", "free", "taken"), [(8, 10, 8), (20, 8, 8), (8, None, 8), (8, 0, 1)])
def test_the_cap_is_shown(
    wanted: int, free: int | None, taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capped(wanted, free) == taken
    assert ("has no room for" in capsys.readouterr().err) is (taken < wanted)


def test_a_child_has_ten_photos_at_most_and_all_at_once(stack: Stack) -> None:
    for at_a_time, expected in {1: (1, 1), 8: (8, 1), 10: (10, 1), 19: (10, 1), 20: (10, 2)}.items():
        run = Runs(stack).start([("incoming/a.jpg", "v1")], at_a_time)
        assert run
        start = input_of(stack, run)
        assert (start["photos_a_child"], start["children_at_a_time"]) == expected


def test_results_are_a_line_for_each_photo_of_a_child(stack: Stack) -> None:
    run = Run("r", "arn", 2)
    asked = {"BatchInput": {}, "Items": [{"s3_key": "d", "version_id": "v"}]}
    failed = {"Input": json.dumps(asked), "Error": "EndpointUnavailable", "Cause": "why"}
    for name, body in (
        ("SUCCEEDED_0.jsonl", '{"s3_key": "a"}\n{"s3_key": "b"}\n'),
        ("SUCCEEDED_1.jsonl", '{"s3_key": "c"}\n'),
        ("FAILED_0.jsonl", json.dumps(failed) + "\n"),
        ("PENDING_0.jsonl", json.dumps({**failed, "Error": None}) + "\n"),
        ("manifest.json", "{}"),
    ):
        stack.client("s3").put_object(Bucket=BUCKET, Key=f"runs/r/results/1/{name}", Body=body)
    lines = {line["s3_key"]: line for line in Runs(stack).results(run)}
    assert sorted(lines) == ["a", "b", "c", "d"]
    why = {"outcome": None, "error": "EndpointUnavailable", "cause": "why"}
    assert lines["d"] == {"s3_key": "d", "version_id": "v", **why}


def line(outcome: str, label: str | None = None, error: str | None = None, **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "label": label, "error": error, "already_recorded": False, **more}


def test_the_summary_counts_every_photo() -> None:
    lines = [
        line("ACCEPTED", "bicycle"),
        line("ACCEPTED", "bicycle", already_recorded=True),
        line("ACCEPTED", "motorcycle"),
        line("LOW_CONFIDENCE", "bicycle", "THRESHOLD_CONFIDENCE_NOT_MET"),
        line("REJECTED", None, "UnsupportedImage"),
        {"s3_key": "d", "outcome": None, "error": "EndpointUnavailable", "cause": "why"},
    ]
    outcomes = {"ACCEPTED": 3, "LOW_CONFIDENCE": 1, "REJECTED": 1, "FAILED": 0}
    summary = {"run": "r", "photos": 7, **outcomes, "without_outcome": 2, "classified": 4}
    assert summarize(lines, Run("r", "arn", 7)) == {
        **summary,
        "labels": {"bicycle": 2, "motorcycle": 1},
        "errors": {"THRESHOLD_CONFIDENCE_NOT_MET": 1, "UnsupportedImage": 1, "EndpointUnavailable": 1},
    }


def test_a_dry_run_lists_what_has_no_outcome(stack: Stack, scones: Scones) -> None:
    versions = [upload(stack, f"incoming/{name}") for name in "ab"]
    put_record(stack, "incoming/a", "ACCEPTED", object_version=versions[0])
    assert scones("batch", "--prefix", "incoming/", "--dry-run") == 0
    assert scones.out == "incoming/b\n"
    assert scones("batch", "--prefix", "incoming/", "--all", "--dry-run", "--json") == 0
    assert len(scones.out.splitlines()) == 2
    assert not stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="runs/")["KeyCount"]


def test_a_run_that_is_not_waited_for_is_named(stack: Stack, scones: Scones) -> None:
    upload(stack, "incoming/a.jpg")
    assert scones("batch", "--prefix", "incoming/", "--json", "--no-wait") == 0
    assert scones.lines[0]["execution_arn"].startswith("arn:aws:states:")


@pytest.mark.parametrize("options", [[], ["--prefix", "incoming/", "--manifest", "s3://b/k.csv"]])
def test_prefix_or_manifest(options: list[str], scones: Scones) -> None:
    assert scones("batch", *options) == 2
    assert "either --prefix or --manifest" in scones.err


def test_nothing_to_do_is_no_failure(stack: Stack, scones: Scones) -> None:
    put_record(stack, "incoming/a", "ACCEPTED", object_version=upload(stack, "incoming/a"))
    reported = {"incoming/": "every photo has an outcome", "incoming/nope/": "no photo is in incoming/nope/"}
    for prefix, why in reported.items():
        assert scones("batch", "--prefix", prefix, "--json") == 0
        assert (scones.lines, why in scones.err) == ([{"summary": {"photos": 0}}], True)
