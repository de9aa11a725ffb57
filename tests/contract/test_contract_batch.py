"""A photo of a batch takes the way of every other photo: what differs is its end."""

import json
import re
from typing import Any

import pytest

from tests.contract.test_contract_workflow import EXPRESS_LIMIT, latest_end, longest_wait
from tests.support.sam_app import MACHINES, ROOT, definition, template
from tests.support.workflow_interpreter import ENDINGS, also_failing, failure, published, recorded, walk

TEXT = (ROOT / "statemachine" / "classify_batch.asl.json").read_text(encoding="utf-8")
CHILD = json.loads(TEXT)["States"]["ClassifyPhotos"]["ItemProcessor"]["States"]
START = CHILD["ClassifyEach"]["ItemProcessor"]["States"]["ClassifyPhoto"]
PHOTO = {"s3_bucket": "scones-photos", "s3_key": "incoming/samples/bicycle.jpg", "version_id": "v7"}
IN_A_BATCH = {**PHOTO, "reclassify": False, "announce": True, "batch": True}


@pytest.mark.parametrize("outcome", ["ACCEPTED", "LOW_CONFIDENCE", "REJECTED"])
def test_an_outcome_is_recorded_and_published_as_a_single_photos_and_is_a_line(outcome: str) -> None:
    single, ending = walk(PHOTO, **ENDINGS[outcome]), walk(IN_A_BATCH, **ENDINGS[outcome])
    drawn = {"outcome_day": "", "recorded_at": ""}
    assert recorded(ending) | drawn == recorded(single) | drawn
    assert published(ending) | drawn == published(single) | drawn
    assert ending.output == {
        "s3_key": PHOTO["s3_key"],
        "version_id": "v7",
        **{name: published(ending)[name] for name in ("outcome", "label", "confidence", "error")},
        "already_recorded": False,
    }
    refused = also_failing(outcome, "RecordOutcome", "DynamoDB.ConditionalCheckFailedException")
    again = walk(IN_A_BATCH, **refused)
    assert again.output == {**ending.output, "already_recorded": True}


@pytest.mark.parametrize("error", ["EndpointContractViolation", "EndpointUnavailable", "ObjectNotReadable"])
def test_a_photo_that_a_service_fails_is_left_to_the_next_run(error: str) -> None:
    ending = walk(IN_A_BATCH, failing={"ClassifyImage": failure(error)}, workflow=definition("EXPRESS"))
    assert (ending.status, ending.error, ending.cause) == ("FAILED", error, "why")
    assert "RecordOutcome" not in ending.calls


@pytest.mark.parametrize("value", [None, False, "true", 1, [True]])
def test_only_true_is_a_batch(value: Any) -> None:
    assert walk({**PHOTO, "batch": value}, **ENDINGS["FAILED"]).calls["RecordOutcome"]


def test_the_executions_of_a_child_fit_into_its_five_minutes() -> None:
    """All of them begin at once, and only the start of one is retried."""
    assert "MaxConcurrency" not in CHILD["ClassifyEach"]
    assert latest_end("EXPRESS") < START["TimeoutSeconds"]
    starts = sum(map(longest_wait, (one for one in START["Retry"] if one["MaxAttempts"])))
    assert starts == 7
    assert starts + START["TimeoutSeconds"] < EXPRESS_LIMIT


def test_each_photo_starts_the_express_machine() -> None:
    machine = template()["Resources"]["ClassifyBatchStateMachine"]["Properties"]
    assert machine["DefinitionSubstitutions"] == {
        "ClassifyImageStateMachineArn": {"Ref": MACHINES["EXPRESS"]}
    }
    assert re.findall(r"\$\{(\w+)\}", TEXT) == ["ClassifyImageStateMachineArn"]
    assert START["Resource"] == "arn:aws:states:::aws-sdk:sfn:startSyncExecution"
