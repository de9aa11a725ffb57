"""What ministack's Distributed Map lacks: batches, and the files of a run's results."""

import json
from typing import Any

import pytest
from ministack.services import s3

from localcloud.ministack.distributed_map import batched, result_lines, write_results

RUN = "arn:aws:states:us-east-1:000000000000:mapRun:scones-classify-batch/Batches:1234"


def child(status: str, output: Any = None) -> dict[str, Any]:
    failed = {"error": "BatchIncomplete", "cause": "why"} if status == "FAILED" else {}
    text = None if output is None else json.dumps(output)
    return {"executionArn": "arn:child", "input": "{}", "output": text, "status": status, **failed}


@pytest.mark.parametrize(("items", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (7, [3, 3, 1])])
def test_items_come_in_batches(items: int, sizes: list[int]) -> None:
    made = batched(list(range(items)), {"MaxItemsPerBatch": 3, "BatchInput": {"bucket": "b"}})
    assert [len(one["Items"]) for one in made] == sizes
    assert [item for one in made for item in one["Items"]] == list(range(items))
    assert all(one["BatchInput"] == {"bucket": "b"} for one in made)


def test_a_batch_without_input_of_its_own_has_items_only() -> None:
    assert batched([1, 2], {}) == [{"Items": [1, 2]}]


def test_flattened_results_are_a_line_for_each_member() -> None:
    lines = result_lines([child("SUCCEEDED", [1, {"a": 2}]), child("SUCCEEDED", "one")])
    assert lines == b'1\n{"a": 2}\n"one"\n'


def test_failed_children_are_written_as_executions() -> None:
    (line,) = result_lines([child("FAILED")]).splitlines()
    failed = {"Status": "FAILED", "Error": "BatchIncomplete", "Cause": "why"}
    assert json.loads(line) == {"ExecutionArn": "arn:child", "Input": "{}", "Output": None, **failed}


def test_the_manifest_names_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, bytes] = {}

    def put(bucket: str, key: str, body: bytes, _headers: Any) -> None:
        written[f"{bucket}/{key}"] = body

    monkeypatch.setattr(s3, "_put_object", put)
    where = {"Bucket": "photos", "Prefix": "runs/r/results"}
    result = write_results([child("SUCCEEDED", [1]), child("FAILED")], where, RUN)
    folder = "runs/r/results/1234"
    assert result["ResultWriterDetails"] == {"Bucket": "photos", "Key": f"{folder}/manifest.json"}
    files = json.loads(written[f"photos/{folder}/manifest.json"])["ResultFiles"]
    assert [one["Key"] for one in files["SUCCEEDED"]] == [f"{folder}/SUCCEEDED_0.jsonl"]
    assert [one["Key"] for one in files["FAILED"]] == [f"{folder}/FAILED_0.jsonl"]
    assert files["PENDING"] == []
    assert written[f"photos/{folder}/SUCCEEDED_0.jsonl"] == b"1\n"
