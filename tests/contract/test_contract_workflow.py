"""The definition by itself: every state as our style asks, every path to exactly one outcome."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.sam_app import (
    LOGICAL_IDS,
    SUBSTITUTIONS,
    definition,
    definition_text,
    event,
    expected,
    load_function,
    template,
)
from tests.support.workflow_interpreter import Ending, Execution, TaskError

STATES = definition()["States"]
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task"}
FUNCTION_STATES = {
    "SerializeImage": "serialize_image",
    "ClassifyImage": "classify_image",
    "FilterInference": "filter_inference",
}
TAIL = sorted(set(TASKS) - set(FUNCTION_STATES))
STATE_LIMIT = 262_144
PAYLOAD_LIMIT = 100_000


# --- The text ---------------------------------------------------------------------------------------------


def test_the_definition_is_json_before_substitution() -> None:
    parsed = json.loads(definition_text())
    assert parsed["QueryLanguage"] == "JSONata"
    assert parsed["Comment"]


def test_each_substitution_is_given_and_used() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", definition_text()))
    machine = template()["Resources"]["ClassifyImageStateMachine"]["Properties"]
    assert used == set(machine["DefinitionSubstitutions"])
    assert used == set(SUBSTITUTIONS)


def test_each_substitution_is_what_its_name_says() -> None:
    given = template()["Resources"]["ClassifyImageStateMachine"]["Properties"]["DefinitionSubstitutions"]
    for name in LOGICAL_IDS.values():
        assert given[f"{name}Arn"] == {"Fn::GetAtt": [name, "Arn"]}
    assert given["ConfidenceThreshold"] == {"Ref": "ConfidenceThreshold"}
    assert given["ResultsTableName"] == {"Ref": "ResultsTable"}
    assert given["ReviewQueueUrl"] == {"Ref": "ReviewQueue"}
    assert given["AlertTopicArn"] == {"Ref": "AlertTopic"}


def test_every_state_can_be_reached_and_every_next_exists() -> None:
    machine = definition()
    reached, todo = set(), [machine["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += re.findall(r"'(?:Next|Default)': '(\w+)'", str(machine["States"][name]))
    assert reached == set(machine["States"])


# --- The style --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_timeout_retry_and_catch(name: str) -> None:
    task = TASKS[name]
    assert task["TimeoutSeconds"] > 0
    assert task["Comment"]
    assert task["Retry"]
    # Step Functions demands that it stands alone, and last.
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    assert all("States.ALL" not in catcher["ErrorEquals"] for catcher in task["Catch"][:-1])
    assert task["Next"] in STATES


@pytest.mark.parametrize("name", TASKS)
def test_retries_wait_with_jitter_and_a_cap(name: str) -> None:
    retried = [r for r in TASKS[name]["Retry"] if r["MaxAttempts"] > 0]
    assert retried
    for retrier in retried:
        assert retrier["JitterStrategy"] == "FULL"
        assert 0 < retrier["IntervalSeconds"] <= retrier["MaxDelaySeconds"] <= 60
        assert retrier["BackoffRate"] > 1
        assert "States.ALL" not in retrier["ErrorEquals"]


def test_fails_have_error_and_cause() -> None:
    fails = {name: state for name, state in STATES.items() if state["Type"] == "Fail"}
    assert set(fails) == {"ConfidenceTooLow", "PhotoRejected", "ClassificationFailed"}
    assert all(state["Error"] and state["Cause"] for state in fails.values())


def test_functions_are_invoked_and_services_integrated() -> None:
    for name, task in TASKS.items():
        if name in FUNCTION_STATES:
            assert task["Resource"] == "arn:aws:states:::lambda:invoke"
        else:
            assert re.fullmatch(r"arn:aws:states:::(dynamodb|events|sqs|sns):\w+", task["Resource"])


def test_timeouts_nest() -> None:
    """SDK with its retries < function < task; and the workflow outlasts its own retries, so it can record."""
    longest = 0.0
    for name, task in TASKS.items():
        if name in FUNCTION_STATES:
            folder = FUNCTION_STATES[name]
            function = template()["Resources"][LOGICAL_IDS[folder]]["Properties"]["Timeout"]
            assert sdk_seconds(folder) < function < task["TimeoutSeconds"], name
        attempts = 1 + sum(retrier["MaxAttempts"] for retrier in task["Retry"])
        longest += task["TimeoutSeconds"] * attempts + sum(map(longest_wait, task["Retry"]))
    assert longest < definition()["TimeoutSeconds"]


def sdk_seconds(folder: str) -> float:
    """Return the longest time in seconds that the function's one SDK call can take, retries included."""
    app = load_function(folder).app
    config = getattr(app, "S3_CONFIG", None) or getattr(app, "RUNTIME_CONFIG", None)
    if config is None:
        return 0
    attempts = config.retries["total_max_attempts"]
    # The standard mode waits at most 2**(retry - 1) seconds: botocore.retries.standard.ExponentialBackoff.
    waits = sum(2**retry for retry in range(attempts - 1))
    return float(attempts * (config.connect_timeout + config.read_timeout) + waits)


def longest_wait(retrier: dict[str, Any]) -> float:
    waits = (
        min(retrier["IntervalSeconds"] * retrier["BackoffRate"] ** attempt, retrier["MaxDelaySeconds"])
        for attempt in range(retrier["MaxAttempts"])
    )
    return float(sum(waits))


# --- The paths --------------------------------------------------------------------------------------------

REFERENCE = {"s3_bucket": "scones-photos", "s3_key": "incoming/samples/bicycle.jpg"}
SERIALIZED = {
    **REFERENCE,
    "version_id": "v7",
    "etag": "e7",
    "image_data": "aW1hZ2U=",
    "content_type": "image/png",
    "inferences": [],
}


def failure(name: str, message: str = "why") -> TaskError:
    """Return an error as Lambda reports it to a workflow."""
    return TaskError(name, json.dumps({"errorMessage": message, "errorType": name, "stackTrace": ["…"]}))


def walk(
    start: Any = REFERENCE,
    inferences: tuple[float, float] = (0.97, 0.03),
    failing: dict[str, TaskError] | None = None,
    serialized: dict[str, Any] = SERIALIZED,
) -> Ending:
    """Run the workflow; FilterInference is the real one, the other tasks answer or fail as told."""
    filter_inference = load_function("filter_inference")

    def task(name: str, arguments: Any) -> Any:
        if failing and name in failing:
            raise failing[name]
        if name == "SerializeImage":
            reference = {k: v for k, v in arguments["Payload"].items() if k in serialized}
            return {"Payload": {**serialized, **reference}}
        if name == "ClassifyImage":
            payload = {k: v for k, v in arguments["Payload"].items() if k != "image_data"}
            return {"Payload": {**payload, "inferences": list(inferences)}}
        if name == "FilterInference":
            return {"Payload": invoke(filter_inference.app.lambda_handler, arguments["Payload"])}
        return {"MessageId": "0f0f", "FailedEntryCount": 0}

    return Execution(definition(), task).run(start)


def invoke(handler: Callable[[Any, Any], Any], payload: Any) -> Any:
    """Call a handler as Lambda does: JSON in, JSON out, errors under their class names."""
    try:
        return json.loads(json.dumps(handler(json.loads(json.dumps(payload)), None)))
    except Exception as exc:
        raise failure(type(exc).__name__, str(exc)) from exc


def recorded(ending: Ending) -> dict[str, Any]:
    """Return the record written to the results table, without DynamoDB's types."""
    (call,) = (ending.calls[name] for name in ("RecordOutcome", "RecordFailure") if name in ending.calls)
    assert call["TableName"] == "results"
    plain: dict[str, Any] = {}
    for name, value in call["Item"].items():
        ((kind, content),) = value.items()
        assert isinstance(content, str), name
        plain[name] = float(content) if kind == "N" else content
        assert kind in {"N", "S"}
    return plain


def published(ending: Ending) -> dict[str, Any]:
    (entry,) = ending.calls["PublishOutcome"]["Entries"]
    assert entry["Source"] == "scones.vehicle-classification"
    assert entry["DetailType"] == "Vehicle Classified"
    detail: dict[str, Any] = entry["Detail"]
    return detail


def test_a_confident_photo_is_accepted() -> None:
    ending = walk()
    assert ending.status == "SUCCEEDED"
    assert (ending.output["label"], ending.output["confidence"]) == ("bicycle", 0.97)
    facts = recorded(ending)
    assert facts["outcome"] == "ACCEPTED"
    assert facts["object_uri"] == "s3://scones-photos/incoming/samples/bicycle.jpg"
    assert (facts["label"], facts["confidence"], facts["threshold"]) == ("bicycle", 0.97, 0.85)
    assert not {"error", "cause"} & set(facts)
    assert "RequestReview" not in ending.calls
    assert "AlertOperators" not in ending.calls


def test_a_doubtful_photo_goes_to_a_person() -> None:
    ending = walk(inferences=(0.39, 0.61))
    assert (ending.status, ending.error) == ("FAILED", "THRESHOLD_CONFIDENCE_NOT_MET")
    facts = recorded(ending)
    assert (facts["outcome"], facts["label"], facts["confidence"]) == ("LOW_CONFIDENCE", "motorcycle", 0.61)
    message = json.loads(ending.calls["RequestReview"]["MessageBody"])
    assert (message["object_uri"], message["label"]) == (facts["object_uri"], "motorcycle")
    order = [name for name in ending.visited if name in TASKS]
    assert order.index("RequestReview") < order.index("RecordOutcome")
    assert "AlertOperators" not in ending.calls


PERMANENT_OF_THE_PHOTO = [
    ("SerializeImage", "ObjectNotFound"),
    ("SerializeImage", "ObjectTooLarge"),
    ("SerializeImage", "UnsupportedImage"),
    ("SerializeImage", "ImageTooLarge"),
    ("ClassifyImage", "UnsupportedImage"),
]


@pytest.mark.parametrize(("state", "error"), PERMANENT_OF_THE_PHOTO)
def test_an_unusable_photo_is_rejected_under_the_errors_own_name(state: str, error: str) -> None:
    ending = walk(failing={state: failure(error, 'it "was" unusable')})
    assert (ending.status, ending.error, ending.cause) == ("FAILED", error, 'it "was" unusable')
    facts = recorded(ending)
    assert (facts["outcome"], facts["error"], facts["cause"]) == ("REJECTED", error, 'it "was" unusable')
    assert "label" not in facts
    assert "AlertOperators" not in ending.calls


OF_THE_MACHINERY = [
    ("SerializeImage", "StorageUnavailable"),
    ("SerializeImage", "BuildMismatch"),
    ("SerializeImage", "Runtime.ImportModuleError"),
    ("ClassifyImage", "EndpointUnavailable"),
    ("ClassifyImage", "EndpointContractViolation"),
    ("ClassifyImage", "Lambda.TooManyRequestsException"),
    ("FilterInference", "EndpointContractViolation"),
    ("FilterInference", "ValueError"),
]


@pytest.mark.parametrize(("state", "error"), OF_THE_MACHINERY)
def test_when_the_machinery_fails_operators_are_alerted(state: str, error: str) -> None:
    ending = walk(failing={state: failure(error)})
    assert (ending.status, ending.error, ending.cause) == ("FAILED", error, "why")
    assert (recorded(ending)["outcome"], recorded(ending)["error"]) == ("FAILED", error)
    alert = json.loads(ending.calls["AlertOperators"]["Message"])
    assert (alert["outcome"], alert["error"], alert["cause"]) == ("FAILED", error, "why")


@pytest.mark.parametrize(
    "cause", ["", "plain text", "{not JSON", "{}", '{"errorMessage": "cut o', "{" + "x" * 40_000 + "}"]
)
@pytest.mark.parametrize("state", FUNCTION_STATES)
def test_whatever_the_cause_looks_like_the_execution_ends_as_it_should(state: str, cause: str) -> None:
    ending = walk(failing={state: TaskError("States.Timeout", cause)})
    assert (ending.status, ending.error) == ("FAILED", "States.Timeout")
    assert recorded(ending)["outcome"] == "FAILED"
    assert len(ending.cause or "") <= 1000


@pytest.mark.parametrize("inferences", [(0.97, 0.03), (0.5, 0.5)])
@pytest.mark.parametrize("state", TAIL)
@pytest.mark.parametrize("error", ["States.Timeout", "EventBridge.FailedEntry"])
def test_a_failing_service_never_leaves_a_photo_unnoticed(
    state: str, error: str, inferences: tuple[float, float]
) -> None:
    ending = walk(inferences=inferences, failing={state: TaskError(error, "no service")})
    if state in ending.visited:
        assert (ending.status, ending.error) == ("FAILED", error)
        assert "AlertOperators" in ending.visited
        assert json.loads(ending.calls["AlertOperators"]["Message"])["error"] == error
    else:
        assert (state, ending.visited[-1]) in {
            ("RequestReview", "Accepted"),
            ("RecordFailure", "Accepted"),
            ("RecordFailure", "ConfidenceTooLow"),
            ("AlertOperators", "Accepted"),
            ("AlertOperators", "ConfidenceTooLow"),
        }


@pytest.mark.parametrize("second", TAIL)
def test_two_failures_in_a_row_end_with_the_error_that_came_first_or_last(second: str) -> None:
    first = failure("EndpointUnavailable")
    ending = walk(failing={"ClassifyImage": first, second: TaskError("States.Timeout", "no service")})
    assert ending.status == "FAILED"
    assert ending.error in {"EndpointUnavailable", "States.Timeout"}
    assert "AlertOperators" in ending.visited


@pytest.mark.parametrize(
    "error", ["DynamoDB.ConditionalCheckFailedException", "DynamoDb.ConditionalCheckFailedException"]
)
def test_a_failure_does_not_overwrite_a_better_outcome(error: str) -> None:
    failed = walk(
        failing={"ClassifyImage": failure("EndpointUnavailable"), "RecordFailure": TaskError(error)}
    )
    call = failed.calls["RecordFailure"]
    assert call["ConditionExpression"] == "attribute_not_exists(object_uri) OR outcome = :failed"
    assert call["ExpressionAttributeValues"] == {":failed": {"S": "FAILED"}}
    assert failed.error == "EndpointUnavailable"
    assert "PublishOutcome" not in failed.calls, "the photo has its outcome already"
    assert "ConditionExpression" not in walk().calls["RecordOutcome"]


@pytest.mark.parametrize(
    ("inferences", "failing"),
    [
        ((0.97, 0.03), None),
        ((0.5, 0.5), None),
        ((0.5, 0.5), {"SerializeImage": failure("ImageTooLarge")}),
        ((0.5, 0.5), {"ClassifyImage": failure("EndpointUnavailable")}),
    ],
)
def test_record_and_event_say_the_same(
    inferences: tuple[float, float], failing: dict[str, TaskError] | None
) -> None:
    ending = walk(inferences=inferences, failing=failing)
    detail = {name: value for name, value in published(ending).items() if value is not None}
    assert detail == recorded(ending)
    timestamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    assert re.fullmatch(timestamp, detail["recorded_at"])
    assert re.fullmatch(timestamp, detail["started_at"])
    assert detail["execution_arn"].startswith("arn:aws:states:")


# --- The input --------------------------------------------------------------------------------------------


def given_to_serialize_image(start: Any) -> dict[str, Any]:
    payload: dict[str, Any] = walk(start).calls["SerializeImage"]["Payload"]
    return payload


@pytest.mark.parametrize("name", [n for n, a in expected("eventbridge/").items() if a["matches"]])
def test_an_upload_event_is_read_as_it_is(name: str) -> None:
    assert given_to_serialize_image(event(name)) == expected()[name]["photo"]


def test_the_direct_input_is_taken_and_the_rest_of_it_ignored() -> None:
    start = {"image_data": "", **REFERENCE, "comment": "ignored"}
    assert given_to_serialize_image(start) == REFERENCE
    assert given_to_serialize_image({**REFERENCE, "version_id": "v", "etag": "e"}) == {
        **REFERENCE,
        "version_id": "v",
        "etag": "e",
    }


@pytest.mark.parametrize(
    "start", [{}, {"s3_bucket": "b"}, {"detail": {}}, {"detail": {"object": {}}}, [], "x", 5]
)
def test_an_input_without_a_photo_reaches_the_function_that_names_the_fault(start: Any) -> None:
    serialize = load_function("serialize_image")
    payload = Execution(definition(), lambda _name, arguments: pytest.fail(str(arguments)))
    with pytest.raises(pytest.fail.Exception):
        payload.run(start)
    arguments = payload.ending.calls["SerializeImage"]["Payload"]
    with pytest.raises(serialize.errors.ObjectNotFound, match="the input has no s3_"):
        serialize.app.lambda_handler(arguments, None)


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ({"version_id": "v1", "etag": "e1"}, "v1"),
        ({"etag": "e1"}, "e1"),
        ({}, "unversioned"),
        ({"version_id": "", "etag": ""}, "unversioned"),
    ],
)
def test_results_are_keyed_by_object_and_version(reference: dict[str, str], version: str) -> None:
    # Rejected before anything was read: then only the input tells which version it was.
    ending = walk({**REFERENCE, **reference}, failing={"SerializeImage": failure("UnsupportedImage")})
    assert recorded(ending)["object_version"] == version
    assert recorded(ending)["object_uri"] == "s3://scones-photos/incoming/samples/bicycle.jpg"
    table = template()["Resources"]["ResultsTable"]["Properties"]["KeySchema"]
    assert [key["AttributeName"] for key in table] == ["object_uri", "object_version"]


def test_the_version_that_was_read_counts() -> None:
    assert recorded(walk(REFERENCE))["object_version"] == "v7"


# --- The size ---------------------------------------------------------------------------------------------


def test_every_payload_stays_far_below_the_limit() -> None:
    serialize = load_function("serialize_image")
    largest = base64.b64encode(bytes(serialize.imaging.MAX_ENCODED_BYTES)).decode()
    key = "incoming/" + "\u0001" * (1024 - 9)  # the longest key, of what JSON writes longest
    start = {**event("eventbridge/object_created.json")}
    start["detail"]["object"]["key"] = key
    for inferences in ((0.97, 0.03), (0.5, 0.5)):
        ending = walk(start, inferences, serialized={**SERIALIZED, "image_data": largest})
        sizes = {
            name: len(json.dumps(payload))
            for name, payload in (*ending.payloads.items(), *ending.calls.items())
        }
        assert max(sizes.values()) > len(largest)
        assert max(sizes.values()) < PAYLOAD_LIMIT < STATE_LIMIT, sizes
