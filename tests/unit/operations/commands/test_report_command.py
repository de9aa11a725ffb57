"""`operations report` as it is called."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest

from operations.stack import Stack
from tests.support.aws_stack import BUCKET, TABLE, deployed_stack, put_record
from tests.support.captures import START, content, exchanges, key, write_captures
from tests.support.commands import Scones


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def stack(aws: None) -> Stack:
    del aws
    outputs = {"PhotoBucketName": BUCKET, "ResultsTableName": TABLE, "EndpointName": "scones-endpoint"}
    return replace(deployed_stack(), outputs=outputs | {"ClassLabels": "bicycle,motorcycle"})


@pytest.fixture
def usual(tmp_path: Path) -> str:
    return str(write_captures(tmp_path / "usual", exchanges(200, seed=1)))


@pytest.fixture
def dark(tmp_path: Path) -> str:
    return str(write_captures(tmp_path / "dark", exchanges(200, seed=2, level=60)))


def test_a_folder_of_captures_needs_no_aws(usual: str, scones: Scones) -> None:
    assert scones("report", "--captures", usual) == 0
    assert scones.out.startswith("Not compared with a baseline. ")
    assert scones.out.endswith("\nreport.html\n")
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_photos_that_the_stack_recorded_carry_their_keys(
    stack: Stack, tmp_path: Path, scones: Scones
) -> None:
    records = exchanges(3, seed=1)
    for number in (0, 1):
        records[number]["eventMetadata"]["inferenceId"] = f"version-{number}"
    put_record(stack, "incoming/a b.jpg", "ACCEPTED", object_version="version-0", threshold=0.85)
    captures = str(write_captures(tmp_path / "captures", records))
    assert scones("report", "--captures", captures, "--stack-name", "scones", "--json") == 0
    found = scones.lines[0]["captures"]["least_confident"]
    assert sorted(str(one["key"]) for one in found) == ["None", "None", "incoming/a b.jpg"]


def test_a_baseline_is_written_or_captures_and_compared_with(
    usual: str, dark: str, tmp_path: Path, scones: Scones
) -> None:
    assert scones("report", "--captures", usual, "--write-baseline", "kept/baseline.json") == 0
    more = str(write_captures(tmp_path / "more", exchanges(150, seed=3)))
    for captures, drifted, code in ((more, False, 0), (dark, True, 1)):
        asked = ["report", "--captures", captures, "--baseline", "kept/baseline.json", "--json"]
        assert scones(*asked, "--fail-on-drift") == code
        found = scones.lines[0]["drift"]
        assert (found["drifted"], found["baseline_records"]) == (drifted, 200)
        assert scones(*asked) == 0
    assert scones("report", "--captures", dark, "--baseline", usual, "--output", "new/page.html") == 0
    assert scones.out.startswith("Drift: photos are darker")
    assert Path("new/page.html").is_file()


@pytest.fixture
def _capturing(stack: Stack) -> None:
    """Let the endpoint capture, and put photos into the table."""
    for number, outcome in enumerate(("ACCEPTED", "ACCEPTED", "LOW_CONFIDENCE", "FAILED")):
        put_record(stack, f"{number}.jpg", outcome, threshold=0.7, started_at="2026-11-25T09:59:58.000Z")
    put_record(stack, "old.jpg", "REJECTED", recorded_at="2020-01-01T00:00:00.000Z")
    capture = {"EnableCapture": True, "DestinationS3Uri": f"s3://{BUCKET}/capture/"}
    described = {"scones-endpoint": {"DataCaptureConfig": capture}}  # which moto does not keep
    stack.clients["sagemaker"] = Mock(describe_endpoint=lambda **asked: described[asked["EndpointName"]])
    for name, day, count in (
        ("scones-endpoint", START, 30),
        ("scones-endpoint", START - timedelta(days=600), 9),
        ("another-endpoint", START, 3),
    ):
        file = f"capture/{name}/{key(0, day).removeprefix('scones/')}"
        body = content(exchanges(count, start=day))
        stack.client("s3").put_object(Bucket=BUCKET, Key=file, Body=body)


@pytest.mark.usefixtures("_capturing")
def test_a_stack_names_its_captures_table_labels_and_threshold(scones: Scones) -> None:
    assert scones("report", "--json") == 0
    found = scones.lines[0]
    assert found["captures"]["source"] == f"s3://{BUCKET}/capture/scones-endpoint/"
    assert found["captures"]["records"] == 39
    assert found["outcomes"] == {"ACCEPTED": 2, "LOW_CONFIDENCE": 1, "REJECTED": 1, "FAILED": 1}
    assert found["latency_s"]["p50"] == 2.0
    assert found["threshold"] == 0.7
    days = (datetime.now(UTC) - START).days + 30
    assert scones("report", "--since", f"{days}d", "--json") == 0
    found = scones.lines[0]
    assert (found["captures"]["records"], found["outcomes"]["REJECTED"]) == (30, 0)


def test_pages_and_baselines_can_lie_in_s3(stack: Stack, usual: str, scones: Scones) -> None:
    where = f"s3://{BUCKET}/reports"
    asked = ["report", "--captures", usual, "--output", f"{where}/page.html"]
    assert scones(*asked, "--write-baseline", f"{where}/baseline.json") == 0
    assert scones(*asked, "--baseline", f"{where}/baseline.json", "--fail-on-drift") == 0
    page = stack.client("s3").get_object(Bucket=BUCKET, Key="reports/page.html")
    assert page["ContentType"] == "text/html; charset=utf-8"
    assert b"<h2>No drift</h2>" in page["Body"].read()


def test_an_endpoint_that_captures_nothing_leaves_the_results_table(
    stack: Stack, usual: str, scones: Scones
) -> None:
    put_record(stack, "1.jpg", "ACCEPTED")
    assert scones("report", "--json") == 0
    found = scones.lines[0]
    assert (found["captures"], found["outcomes"]["ACCEPTED"]) == (None, 1)
    assert scones("report", "--write-baseline", "baseline.json") == 1
    assert not Path("baseline.json").exists()
    assert scones("report", "--captures", usual, "--write-baseline", "baseline.json") == 0
    assert scones("report", "--baseline", "baseline.json") == 1
    assert "nothing is captured: deploy the endpoint with" in scones.err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ("--captures /no/such", 2, "'/no/such': there is no such folder"),
        ("--captures ''", 2, "'': there is no such folder"),
        ("--captures s3://", 2, "give s3://BUCKET/KEY"),
        ("--captures usual --baseline ''", 2, "there is no such file or folder"),
        ("--captures usual --output ''", 2, "'' is no file"),
        ("--captures usual --write-baseline empty", 2, "'empty' is no file"),
        ("--captures empty", 1, "no usable records in 0 files; give a folder or prefix with *.jsonl files"),
        ("--captures broken", 1, "no usable records in 1 file; 2 x not a JSON object (cut off?)"),
        ("--captures usual --baseline no.json", 2, "--baseline no.json: there is no such file"),
        ("--captures usual --baseline /no/such", 2, "/no/such: there is no such file or folder"),
        ("--captures usual --baseline odd.json", 2, "odd.json is not a baseline file"),
        ("--captures usual --baseline raw.json", 2, "--baseline raw.json: the file is not text"),
        ("--captures usual --fail-on-drift", 2, "give --baseline"),
        ("--captures usual --labels a,b,c", 1, "200 x answer does not have one probability per label"),
        ("--captures usual --output usual", 2, "'usual' is no file"),
        ("--captures usual --since yesterday", 2, "'yesterday' is not a time"),
    ],
)
@pytest.mark.usefixtures("usual")
def test_what_cannot_be_reported_is_told_in_a_line(
    arguments: str, code: int, told: str, scones: Scones
) -> None:
    Path("broken").mkdir()
    Path("empty").mkdir()
    Path("broken/a.jsonl").write_text("{\n[\n")
    Path("odd.json").write_text("{}")
    Path("raw.json").write_bytes(b"\xff\xfe\x00")
    assert scones("report", *shlex.split(arguments)) == code
    assert told in scones.err
    assert scones.out == ""
    assert not Path("report.html").exists()
