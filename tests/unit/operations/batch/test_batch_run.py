"""A run: its manifest and input, its summary, and what the command says."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from operations.__main__ import main
from operations.batch.run import Run, Runs, summarize
from operations.commands.batch import capped
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, create_in_cloudformation, deployed_stack, put_record

DEFINITION = {"StartAt": "End", "States": {"End": {"Type": "Succeed"}}}


@pytest.fixture
def stack(aws: None, monkeypatch: pytest.MonkeyPatch) -> Stack:
    del aws
    monkeypatch.setattr(Runs, "free_concurrency", lambda _: None)  # moto has no account settings
    stack = deployed_stack()
    machine = stack.client("stepfunctions").create_state_machine(
        name="batch", definition=json.dumps(DEFINITION), roleArn="arn:aws:iam::123456789012:role/workflow"
    )
    outputs = {**stack.outputs, "ClassifyBatchStateMachineArn": machine["stateMachineArn"]}
    return replace(stack, outputs=outputs)


def test_a_run_is_started_with_a_manifest_of_its_photos(stack: Stack) -> None:
    run = Runs(stack).start(
        [("incoming/a b.jpg", "v1"), ("incoming/ä.jpg", "v2")], at_a_time=25, tolerate=1.5
    )

    assert run
    assert run.photos == 2
    workflow, s3 = stack.client("stepfunctions"), stack.client("s3")
    start = json.loads(workflow.describe_execution(executionArn=run.execution_arn)["input"])
    assert start == {
        "bucket": BUCKET,
        "manifest": f"runs/{run.name}/manifest.jsonl",
        "results": f"runs/{run.name}/results",
        "photos_a_child": 10,
        "children_at_a_time": 2,
        "tolerated_failure_percent": 1.5,
        "reclassify": False,
        "announce": True,
    }
    lines = s3.get_object(Bucket=BUCKET, Key=start["manifest"])["Body"].read().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"s3_key": "incoming/a b.jpg", "version_id": "v1"},
        {"s3_key": "incoming/ä.jpg", "version_id": "v2"},
    ]


def limits(stack: Stack, reserved: list[int | None], account: int) -> Stack:
    """Return the stack with a Lambda client that has these limits, in the order of the three functions."""
    answers = iter({} if one is None else {"ReservedConcurrentExecutions": one} for one in reserved)
    client = SimpleNamespace(
        get_function_concurrency=lambda **_: next(answers),
        get_account_settings=lambda: {"AccountLimit": {"UnreservedConcurrentExecutions": account}},
    )
    outputs = {f"{name}FunctionName": name for name in ("SerializeImage", "ClassifyImage", "FilterInference")}

    class Limited(Stack):
        def client(self, service: str) -> Any:
            return client if service == "lambda" else super().client(service)

    return Limited(stack.name, {**stack.outputs, **outputs}, stack.session)


@pytest.mark.parametrize(
    ("reserved", "account", "free"), [([None] * 3, 10, 10), ([5, 2, None], 900, 2), ([None, 50, 50], 3, 3)]
)
@pytest.mark.usefixtures("aws")
def test_photos_at_a_time_are_no_more_than_the_functions_take(
    reserved: list[int | None], account: int, free: int
) -> None:
    deployed = deployed_stack()
    stack = replace(deployed, outputs={**deployed.outputs, "ClassifyBatchStateMachineArn": "arn"})
    assert Runs(limits(stack, reserved, account)).free_concurrency() == free


@pytest.mark.parametrize(("wanted", "free", "taken"), [(8, 10, 8), (20, 8, 8), (8, None, 8), (8, 0, 1)])
def test_the_cap_is_shown(
    wanted: int, free: int | None, taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert capped(wanted, free) == taken
    assert ("has no room for" in capsys.readouterr().err) is (taken < wanted)


def test_without_photos_nothing_is_started(stack: Stack) -> None:
    assert Runs(stack).start([]) is None


@pytest.mark.parametrize(
    ("at_a_time", "a_child", "children"), [(1, 1, 1), (8, 8, 1), (10, 10, 1), (19, 10, 1), (20, 10, 2)]
)
def test_a_child_has_ten_photos_at_most_and_all_at_once(
    stack: Stack, at_a_time: int, a_child: int, children: int
) -> None:
    run = Runs(stack).start([("incoming/a.jpg", "v1")], at_a_time=at_a_time)
    assert run
    execution = stack.client("stepfunctions").describe_execution(executionArn=run.execution_arn)
    start = json.loads(execution["input"])
    assert (start["photos_a_child"], start["children_at_a_time"]) == (a_child, children)


def test_results_are_a_line_for_each_photo_of_a_child(stack: Stack) -> None:
    run = Run("r", "arn", 2)
    failed = {
        "Input": json.dumps({"BatchInput": {}, "Items": [{"s3_key": "d", "version_id": "v"}]}),
        "Error": "EndpointUnavailable",
        "Cause": "why",
    }
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
    assert summarize(lines, Run("r", "arn", 7)) == {
        "run": "r",
        "photos": 7,
        **outcomes,
        "without_outcome": 2,
        "classified": 4,
        "labels": {"bicycle": 2, "motorcycle": 1},
        "errors": {"THRESHOLD_CONFIDENCE_NOT_MET": 1, "UnsupportedImage": 1, "EndpointUnavailable": 1},
    }


def test_a_dry_run_lists_what_has_no_outcome(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    s3 = stack.client("s3")
    versions = {
        name: s3.put_object(Bucket=BUCKET, Key=f"incoming/{name}", Body=b"1")["VersionId"] for name in "ab"
    }
    put_record(stack, "incoming/a", "ACCEPTED", object_version=versions["a"])
    create_in_cloudformation(dict(stack.outputs))

    assert main(["batch", "--prefix", "incoming/", "--dry-run"]) == 0
    assert capsys.readouterr().out == "incoming/b\n"
    assert main(["batch", "--prefix", "incoming/", "--all", "--dry-run", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert not stack.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="runs/")["KeyCount"]


def test_a_run_that_is_not_waited_for_is_named(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.client("s3").put_object(Bucket=BUCKET, Key="incoming/a.jpg", Body=b"1")
    create_in_cloudformation(dict(stack.outputs))
    assert main(["batch", "--prefix", "incoming/", "--json", "--no-wait"]) == 0
    assert json.loads(capsys.readouterr().out)["execution_arn"].startswith("arn:aws:states:")


@pytest.mark.parametrize("options", [[], ["--prefix", "incoming/", "--manifest", "s3://b/k.csv"]])
def test_prefix_or_manifest(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", *options]) == 2
    assert "either --prefix or --manifest" in capsys.readouterr().err


def test_nothing_to_do_is_no_failure(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    version = stack.client("s3").put_object(Bucket=BUCKET, Key="incoming/a", Body=b"1")["VersionId"]
    put_record(stack, "incoming/a", "ACCEPTED", object_version=version)
    create_in_cloudformation(dict(stack.outputs))
    for prefix, reported in (
        ("incoming/", "every photo has an outcome"),
        ("incoming/nope/", "no photo is in incoming/nope/"),
    ):
        assert main(["batch", "--prefix", prefix, "--json"]) == 0
        said = capsys.readouterr()
        assert json.loads(said.out) == {"summary": {"photos": 0}}
        assert reported in said.err
