"""A photo of a batch is treated as a single one: the same records, events, errors and permissions."""

import json
import re
from typing import Any

import pytest

from tests.contract.test_contract_roles import (
    DELIVERS_LOGS,
    SAMPLES_TRACES,
    WRITES_LOGS,
    WRITES_TRACES,
    actions,
    calls_in_code,
    resources_of,
    statements,
)
from tests.contract.test_contract_workflow import ENDINGS, published, recorded, walk
from tests.support.sam_app import (
    CLOUD,
    FOLDERS,
    LOGICAL_IDS,
    ROOT,
    definition,
    function_environment,
    load_function,
    template,
)

TEXT = (ROOT / "statemachine" / "classify_batch.asl.json").read_text(encoding="utf-8")
MAP = json.loads(TEXT)["States"]["ClassifyPhotos"]
CHILD = MAP["ItemProcessor"]["States"]["ClassifyBatch"]
RESOURCES = template()["Resources"]
VARIABLES = RESOURCES["ClassifyBatchFunction"]["Properties"]["Environment"]["Variables"]
ENVIRONMENT = {
    **{name: value for folder in FOLDERS for name, value in function_environment(folder).items()},
    "RESULTS_TABLE": "results",
    "REVIEW_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/111122223333/review",
    "EVENT_BUS": "default",
    "PHOTOS_AT_A_TIME": "4",
    "RESULT_RETENTION_DAYS": "0",
}
BATCH = load_function("classify_batch", ENVIRONMENT)
PHOTO = {"key": "incoming/samples/bicycle.jpg", "version_id": "v7"}
EVENT = {
    "Items": [PHOTO],
    "BatchInput": {"bucket": "scones-photos", "reclassify": False, "announce": True},
    "execution_arn": "arn:aws:states:us-east-1:111122223333:execution:classify-image:0f0f",
    "started_at": "2026-11-12T00:00:00.000Z",
}


def result_of(outcome: str) -> Any:
    """Return what the pipeline makes of a photo that the workflow ends with an outcome."""
    failing = ENDINGS[outcome].get("failing", {})
    inferences = ENDINGS[outcome].get("inferences", (0.97, 0.03))

    def handler(folder: str, answer: Any) -> Any:
        def handle(event: dict[str, Any], _context: object) -> Any:
            for state, error in failing.items():
                if LOGICAL_IDS[folder].startswith(state):
                    raise type(error.name, (Exception,), {})(json.loads(error.cause)["errorMessage"])
            return answer(event)

        return handle

    filter_inference = load_function("filter_inference").app.lambda_handler
    version = "scones-vehicle-classifier-20261112"
    pipeline = BATCH.pipeline.Pipeline(
        handler("serialize_image", lambda event: {**event, "image_data": "aW1hZ2U="}),
        handler(
            "classify_image",
            lambda event: {**event, "inferences": list(inferences), "model_version": version},
        ),
        filter_inference,
    )
    return pipeline.classify("scones-photos", PHOTO["key"], PHOTO["version_id"], lambda: 0.0)


@pytest.mark.parametrize("outcome", ["ACCEPTED", "LOW_CONFIDENCE", "REJECTED"])
def test_record_and_event_are_the_workflows(outcome: str) -> None:
    ending = walk(
        **ENDINGS[outcome], start={"s3_bucket": "scones-photos", "s3_key": PHOTO["key"], "version_id": "v7"}
    )
    batch = BATCH.records.Batch.from_event(EVENT)
    item = BATCH.app.RECORDS._item(batch, batch.photos[0], result_of(outcome))  # noqa: SLF001

    mine = {name: float(v["N"]) if "N" in v else v["S"] for name, v in item.items()}
    note = mine.pop("undelivered")
    assert note == ("review,event" if outcome == "LOW_CONFIDENCE" else "event")
    theirs = recorded(ending)
    drawn = ("recorded_at", "outcome_day")
    assert {k: v for k, v in mine.items() if k not in drawn} == {
        k: v for k, v in theirs.items() if k not in drawn
    }
    assert re.fullmatch(rf"{outcome}#\d{{4}}-\d\d-\d\d#[0-3]", str(mine["outcome_day"]))
    told = BATCH.announcements.facts(item)
    assert list(told) == list(published(ending)), "the same members in the same order"
    assert {k: v for k, v in told.items() if k != "recorded_at"} == {
        k: v for k, v in published(ending).items() if k != "recorded_at"
    }


def test_a_failure_of_a_service_is_no_outcome_of_a_batch() -> None:
    left = result_of("FAILED")
    assert (type(left).__name__, left.error) == ("Temporary", "EndpointContractViolation")


def test_a_record_is_replaced_under_the_workflows_condition() -> None:
    record = definition()["States"]["RecordOutcome"]["Arguments"]
    assert record["ConditionExpression"] == BATCH.records.CONDITION
    ranks = definition()["States"]["DescribeOutcome"]["Assign"]["rank"]
    assert all(f"'{name}': {rank}" in ranks for name, rank in BATCH.records.RANK.items())


def test_errors_are_rejections_and_transient_as_in_the_workflow() -> None:
    caught = [
        (set(catcher["ErrorEquals"]), catcher)
        for name in ("SerializeImage", "ClassifyImage")
        for catcher in definition()["States"][name]["Catch"]
    ]
    rejected = set().union(*(n for n, one in caught if one.get("Assign", {}).get("outcome") == "REJECTED"))
    assert set(BATCH.pipeline.REJECTED) == rejected
    retried = set().union(*(names for names, one in caught if one["Next"] == "RetryOrGiveUp"))
    own = {name for name in retried if "." not in name}
    assert set(BATCH.pipeline.TRANSIENT) == own


def test_the_three_functions_find_their_variables() -> None:
    for folder in FOLDERS:
        given = RESOURCES[LOGICAL_IDS[folder]]["Properties"]["Environment"]["Variables"]
        assert {name: VARIABLES[name] for name in given} == given


def test_each_function_is_loaded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CLOUD, **ENVIRONMENT}.items():
        monkeypatch.setenv(name, value)
    handlers = vars(BATCH.pipeline.Pipeline.load())
    files = [handler.__globals__["__file__"] for handler in handlers.values()]
    assert [file.rsplit("/", 2)[1] for file in files] == list(FOLDERS)


def test_a_batch_is_repeated_and_ends_within_the_five_minutes_of_express() -> None:
    (retrier,) = CHILD["Retry"]
    # A function that was killed is called again, as with a single photo.
    assert {"BatchIncomplete", "Runtime.ExitError", "Runtime.OutOfMemory"} <= set(retrier["ErrorEquals"])
    attempts = retrier["MaxAttempts"] + 1
    longest = attempts * CHILD["TimeoutSeconds"] + retrier["MaxAttempts"] * retrier["MaxDelaySeconds"]
    assert longest < 300
    assert RESOURCES["ClassifyBatchFunction"]["Properties"]["Timeout"] < CHILD["TimeoutSeconds"]
    assert retrier["JitterStrategy"] == "FULL"


def test_substitutions_are_given_and_used() -> None:
    machine = RESOURCES["ClassifyBatchStateMachine"]["Properties"]
    assert set(re.findall(r"\$\{(\w+)\}", TEXT)) == set(machine["DefinitionSubstitutions"])
    assert machine["Name"] == {"Fn::Sub": "${AWS::StackName}-classify-batch"}


def test_the_function_may_do_what_it_and_the_three_do() -> None:
    needed = set().union(*(calls_in_code(folder) for folder in (*FOLDERS, "classify_batch")))
    # SendMessageBatch is allowed by sqs:SendMessage.
    needed = {"sqs:SendMessage" if name == "sqs:SendMessageBatch" else name for name in needed}
    allowed = set().union(*map(actions, statements("ClassifyBatchRole")))
    assert allowed == needed | {"s3:GetObjectVersion", "s3:ListBucket"} | WRITES_LOGS | WRITES_TRACES
    table = [{"Fn::GetAtt": ["ResultsTable", "Arn"]}]
    for action in ("BatchGetItem", "GetItem", "PutItem", "UpdateItem"):
        assert resources_of("ClassifyBatchRole", f"dynamodb:{action}") == table


def test_the_workflow_may_run_its_children_and_reach_its_runs_only() -> None:
    role = "ClassifyBatchWorkflowRole"
    allowed = set().union(*map(actions, statements(role))) - DELIVERS_LOGS - WRITES_TRACES - SAMPLES_TRACES
    assert allowed == {
        "states:StartExecution",
        "states:DescribeExecution",
        "states:StopExecution",
        "lambda:InvokeFunction",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListMultipartUploadParts",
        "s3:AbortMultipartUpload",
    }
    runs = [{"Fn::Sub": "arn:${AWS::Partition}:s3:::${PhotoBucket}/runs/*"}]
    assert resources_of(role, "s3:GetObject") == resources_of(role, "s3:PutObject") == runs
    assert resources_of(role, "lambda:InvokeFunction") == [{"Fn::GetAtt": ["ClassifyBatchFunction", "Arn"]}]
    machine = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
    assert resources_of(role, "states:StartExecution") == [
        {"Fn::Sub": machine + ":stateMachine:${AWS::StackName}-classify-batch"}
    ]
