"""The definition by itself: the style of every state, and every path to exactly one outcome."""

import base64
import itertools
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.results import SAMPLE, SAMPLED
from tests.support.sam_app import (
    LOGICAL_IDS,
    MACHINES,
    definition,
    definition_text,
    event,
    expected,
    load_function,
    substitutions,
    template,
)
from tests.support.workflow_interpreter import (
    CONTEXT,
    ENDINGS,
    MODEL_VERSION,
    REFERENCE,
    SERIALIZED,
    Clock,
    Ending,
    Execution,
    TaskError,
    also_failing,
    failure,
    published,
    recorded,
    walk,
)

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
EXPRESS_LIMIT = 300
EXPRESS = definition("EXPRESS")


def test_both_machines_are_of_one_definition_and_differ_in_patience_only() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", definition_text()))
    assert [set(substitutions(one)) for one in MACHINES] == [used, used]
    standard, express = (template()["Resources"][name]["Properties"] for name in MACHINES.values())
    assert [one.pop("Type") for one in (standard, express)] == list(MACHINES)
    for name, seconds in {"ClassifyForSeconds": "60", "DeliverForSeconds": "120"}.items():
        patience = {"Fn::FindInMap": ["Constants", "Workflow", "PatienceSeconds"]}
        assert standard["DefinitionSubstitutions"].pop(name) == patience
        assert express["DefinitionSubstitutions"].pop(name) == seconds
    assert standard["Logging"].pop("Level") == "ERROR"
    assert standard["Logging"]["IncludeExecutionData"] is False
    assert express["Logging"].pop("Level") == {"Fn::If": ["IsExpress", "ALL", "ERROR"]}
    assert standard == express


def test_every_state_can_be_reached_and_every_next_exists() -> None:
    machine = definition()
    reached, todo = set(), [machine["StartAt"]]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += re.findall(r"'(?:Next|Default)': '(\w+)'", str(machine["States"][name]))
    assert reached == set(machine["States"])


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_timeout_catch_and_retries_with_jitter_and_a_cap(name: str) -> None:
    task = TASKS[name]
    assert task["TimeoutSeconds"] > 0
    assert task["Comment"]
    assert task["Retry"]
    # Step Functions requires it to be alone and last.
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    assert all("States.ALL" not in catcher["ErrorEquals"] for catcher in task["Catch"][:-1])
    assert task["Next"] in STATES
    retried = [r for r in task["Retry"] if r["MaxAttempts"] > 0]
    assert retried
    for retrier in retried:
        assert retrier["JitterStrategy"] == "FULL"
        assert 0 < retrier["IntervalSeconds"] <= retrier["MaxDelaySeconds"] <= 60
        assert retrier["BackoffRate"] > 1
        assert "States.ALL" not in retrier["ErrorEquals"]


def test_timeouts_nest() -> None:
    """SDK with its retries < function < task < what remains of the workflow's time."""
    for name, folder in FUNCTION_STATES.items():
        function = template()["Resources"][LOGICAL_IDS[folder]]["Properties"]["Timeout"]
        assert sdk_seconds(folder) < function < TASKS[name]["TimeoutSeconds"], name
    assert latest_end("STANDARD") < definition()["TimeoutSeconds"]
    assert latest_end("EXPRESS") < EXPRESS_LIMIT, "AWS ends it then"
    config = load_function("classify_image").app.RUNTIME_CONFIG
    assert config.read_timeout == 60, "as long as SageMaker may take"
    assert config.retries["total_max_attempts"] == 1


def latest_end(workflow_type: str) -> float:
    """Return the latest end of an execution, in seconds: every attempt begins at its deadline and times out.

    Quick retries (Retry) follow errors, which come sooner than timeouts: of these only the waits count; but
    SerializeImage is retried once after it has taken all of its time.
    """
    patience = substitutions(workflow_type)
    longest = {
        name: task["TimeoutSeconds"] + sum(map(longest_wait, task["Retry"])) for name, task in TASKS.items()
    }
    longest["SerializeImage"] += template()["Resources"]["SerializeImageFunction"]["Properties"]["Timeout"]
    classify_until = int(patience["ClassifyForSeconds"])
    classified = classify_until + sum(longest[name] for name in FUNCTION_STATES)
    deliver_until = classify_until + int(patience["DeliverForSeconds"])
    return float(max(classified, deliver_until) + sum(longest[name] for name in TAIL))


def sdk_seconds(folder: str) -> float:
    """Return the longest duration of the function's one SDK call, retries included."""
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


def test_a_confident_photo_is_accepted() -> None:
    ending = walk()
    assert ending.status == "SUCCEEDED"
    assert ending.output["model_version"] == MODEL_VERSION
    assert "already_recorded" not in ending.output
    assert (ending.output["label"], ending.output["confidence"]) == ("bicycle", 0.97)
    facts = recorded(ending)
    assert facts["outcome"] == "ACCEPTED"
    assert facts["object_uri"] == "s3://scones-photos/incoming/samples/bicycle.jpg"
    assert (facts["label"], facts["confidence"], facts["threshold"]) == ("bicycle", 0.97, 0.85)
    assert (facts["object_version"], facts["model_version"]) == ("v7", MODEL_VERSION)
    assert not {"error", "cause"} & set(facts)
    assert ending.calls["RecordOutcome"]["Item"]["undelivered"] == {"S": "event"}
    order = [name for name in ending.visited if name in TASKS]
    assert order[-3:] == ["RecordOutcome", "PublishOutcome", "MarkDelivered"], "the debt is written first"


@pytest.mark.parametrize(
    ("answered", "expected"),
    [({"neither": 0.981234}, 0.981234), ({"neither": 0}, 0), ({"neither": None}, None), ({}, None)],
)
def test_the_probability_of_neither_is_recorded_if_the_model_gives_it(
    answered: dict[str, float | None], expected: float | None
) -> None:
    ending = walk(inferences=(0.501, 0.499), answered=answered)
    assert (recorded(ending).get("neither"), published(ending)["neither"]) == (expected, expected)
    assert "neither" not in walk(answered=answered).output, "the workflow's answer stays as it is"


def test_a_doubtful_photo_ends_with_its_label() -> None:
    ending = walk(inferences=(0.39, 0.61))
    assert (ending.status, ending.error) == ("FAILED", "THRESHOLD_CONFIDENCE_NOT_MET")
    assert ending.cause == "the most probable class is motorcycle with 0.6100, below the threshold 0.85"
    facts = recorded(ending)
    assert (facts["outcome"], facts["label"], facts["confidence"]) == ("LOW_CONFIDENCE", "motorcycle", 0.61)


VIOLATION = "EndpointContractViolation"
UNUSABLE = 'it "was" unusable'
OF_THE_PHOTO = "ObjectNotFound ObjectTooLarge UnsupportedImage ImageTooLarge"
OF_A_SERVICE = "ObjectNotReadable BuildMismatch Runtime.ImportModuleError Runtime.ExitError"
COSTLY = {
    "Sandbox.Timedout": "RequestId: 1 Error: Task timed out after 30.00 seconds",
    "Runtime.OutOfMemory": "RequestId: 1 Error: Runtime exited",
    "Runtime.ExitError": "RequestId: 1 Error: Runtime exited with error: signal: killed",
}


@pytest.mark.parametrize(
    ("state", "error", "cause", "outcome", "name"),
    [
        *(("SerializeImage", one, UNUSABLE, "REJECTED", one) for one in OF_THE_PHOTO.split()),
        ("ClassifyImage", "UnsupportedImage", UNUSABLE, "REJECTED", "UnsupportedImage"),
        *(("SerializeImage", *one, "REJECTED", "ImageTooCostly") for one in COSTLY.items()),
        *(("SerializeImage", one, "why", "FAILED", one) for one in OF_A_SERVICE.split()),
        ("ClassifyImage", VIOLATION, "why", "FAILED", VIOLATION),
        ("FilterInference", VIOLATION, "why", "FAILED", VIOLATION),
        ("FilterInference", "ValueError", "why", "FAILED", "ValueError"),
    ],
)
def test_a_permanent_error_ends_at_once_by_its_name(
    state: str, error: str, cause: str, outcome: str, name: str
) -> None:
    ending = walk(failing={state: failure(error, cause)})
    assert (ending.status, ending.error, ending.cause) == ("FAILED", name, cause)
    facts = recorded(ending)
    assert (facts["outcome"], facts["error"], facts["cause"]) == (outcome, name, cause)
    assert published(ending)["outcome"] == outcome
    assert (ending.counts[state], ending.seconds) == (1, 0)
    assert "label" not in facts
    if name == "ImageTooCostly":
        (retrier,) = (one for one in STATES[state]["Retry"] if error in one["ErrorEquals"])
        assert retrier["MaxAttempts"] == 1, "two attempts"


TRANSIENT = [
    ("SerializeImage", "StorageUnavailable"),
    ("ClassifyImage", "EndpointBusy"),
    ("ClassifyImage", "EndpointUnavailable"),
    ("ClassifyImage", "Lambda.TooManyRequestsException"),
    ("ClassifyImage", "States.Timeout"),
    ("FilterInference", "Lambda.Unknown"),
]


@pytest.mark.parametrize(("workflow_type", "patience"), [("STANDARD", 1800), ("EXPRESS", 50)])
@pytest.mark.parametrize(("state", "error"), TRANSIENT)
def test_transient_errors_are_retried_until_the_deadline(
    state: str, error: str, workflow_type: str, patience: int
) -> None:
    ending = walk(failing={state: failure(error)}, workflow=definition(workflow_type))
    name = error.replace("States.", "Task.")  # the prefix is reserved for executions without an outcome
    assert (ending.status, ending.error, ending.cause) == ("FAILED", name, "why")
    assert recorded(ending)["outcome"] == published(ending)["outcome"] == "FAILED"
    assert recorded(ending)["error"] == name
    assert patience <= ending.seconds < (EXPRESS_LIMIT if workflow_type == "EXPRESS" else 3600)
    assert ending.counts[state] > 5


@pytest.mark.parametrize(("state", "error"), TRANSIENT)
def test_an_outage_of_half_an_hour_loses_no_photo(state: str, error: str) -> None:
    clock = Clock()

    def task(name: str, arguments: Any) -> Any:
        if name == state and clock.now < 1800:
            raise failure(error)
        payload = arguments.get("Payload", {})
        return {"Payload": payload | {"model_version": None, "label": "bicycle", "confidence": 1}}

    ending = Execution(definition(), task, clock).run(REFERENCE)
    assert ending.status == "SUCCEEDED"
    assert 1800 <= ending.seconds < 1800 + 600 + 20, "once the outage is over, the next attempt follows"


def test_waits_grow_up_to_a_minute_with_jitter() -> None:
    clock = Clock()
    starts: list[float] = []

    def task(name: str, _arguments: Any) -> Any:
        if name != "SerializeImage":
            return {}
        starts.append(clock.now)
        raise failure("StorageUnavailable")

    for _ in range(20):
        Execution(definition("EXPRESS"), task, clock).run(REFERENCE)
        starts.append(math.nan)  # the executions are separate
    waits = [later - sooner for sooner, later in itertools.pairwise(starts) if later >= sooner]
    assert 20 < max(waits) <= 60
    assert len(set(waits)) > 15
    assert min(waits) == 1


CAUSES = ["", "plain text", "{not JSON", "{}", "null", "[]", '{"errorMessage"}', '{"errorMessage": "cut o']
CAUSES += ['{"errorMessage": 5}', '"x"', "{" + "x" * 40_000 + "}", '["signal: killed"]']
ERRORS = itertools.cycle(
    ["States.Timeout", "ObjectNotFound", "ThresholdConfidenceNotMet", "Runtime.ExitError", "KeyError"]
)


@pytest.mark.parametrize(("cause", "error"), list(zip(CAUSES, ERRORS, strict=False)))
@pytest.mark.parametrize("state", sorted(TASKS))
def test_whatever_the_cause_looks_like_the_outcome_is_delivered(state: str, error: str, cause: str) -> None:
    ending = walk(failing={state: TaskError(error, cause)}, workflow=EXPRESS)
    assert ending.status == ("SUCCEEDED" if state == "MarkDelivered" else "FAILED")
    assert not (ending.error or "").startswith("States."), "reserved for executions without an outcome"
    assert len(ending.cause or "") <= 1500
    assert (ending.error == "OutcomeNotDelivered") == (state in {"RecordOutcome", "PublishOutcome"})


@given(cause=st.text(), error=st.text(min_size=1), key=st.text())
@settings(deadline=None, max_examples=30, derandomize=True)
def test_no_text_from_outside_ends_an_execution_without_an_outcome(cause: str, error: str, key: str) -> None:
    ending = walk({"s3_bucket": "b", "s3_key": key}, failing={"SerializeImage": TaskError(error, cause)})
    assert recorded(ending)["outcome"] == "FAILED"
    assert recorded(ending)["object_uri"] == f"s3://b/{key}"


@pytest.mark.parametrize("threshold", ["0", "0.5", "0.85", "1", "1.0"])
def test_every_threshold_that_the_template_allows_is_a_number_to_jsonata(threshold: str) -> None:
    pattern = template()["Parameters"]["ConfidenceThreshold"]["AllowedPattern"]
    assert re.fullmatch(pattern, threshold)
    ending = walk(workflow=definition(ConfidenceThreshold=threshold))
    assert recorded(ending)["threshold"] == float(threshold)
    load_function("filter_inference", {"CLASS_LABELS": "a,b", "CONFIDENCE_THRESHOLD": threshold})


@pytest.mark.parametrize("workflow_type", ["STANDARD", "EXPRESS"])
@pytest.mark.parametrize("state", ["RecordOutcome", "PublishOutcome"])
@pytest.mark.parametrize("error", ["States.Timeout", "EventBridge.FailedEntry"])
def test_an_outcome_that_cannot_be_delivered_ends_as_such(state: str, error: str, workflow_type: str) -> None:
    failing = {state: TaskError(error, "no service")}
    ending = walk(failing=failing, workflow=definition(workflow_type))
    assert (ending.status, ending.error) == ("FAILED", "OutcomeNotDelivered")
    assert "s3://scones-photos/incoming/samples/bicycle.jpg" in (ending.cause or "")
    assert f"failed with {error}: no service" in (ending.cause or "")
    assert ending.counts[state] > 3
    assert workflow_type == "STANDARD" or ending.seconds < EXPRESS_LIMIT


@pytest.mark.parametrize("outcome", ENDINGS)
def test_an_outcome_that_cannot_be_published_stays_with_its_debt(outcome: str) -> None:
    ending = walk(**also_failing(outcome, "PublishOutcome", "EventBridge.FailedEntry"))
    assert recorded(ending)["outcome"] == outcome
    assert ending.calls["RecordOutcome"]["Item"]["undelivered"] == {"S": "event"}
    assert ending.counts["RecordOutcome"] == 1, "a failure of the delivery replaces no outcome"
    assert "MarkDelivered" not in ending.calls
    assert ending.error == "OutcomeNotDelivered"


def test_the_debt_is_removed_from_the_executions_own_record_only() -> None:
    ending = walk()
    call, item = ending.calls["MarkDelivered"], ending.calls["RecordOutcome"]["Item"]
    assert call["Key"] == {name: item[name] for name in ("object_uri", "object_version")}
    assert call["UpdateExpression"] == "REMOVE undelivered"
    own, event = "execution_arn = :execution", "undelivered = :event"
    assert call["ConditionExpression"] == f"{own} AND {event} AND attribute_not_exists(decided_by)"
    assert call["ExpressionAttributeValues"] == {
        ":execution": item["execution_arn"],
        ":event": item["undelivered"],
    }


OLD = "1969-12-25T00:00:00.000Z"  # the virtual time begins at 1970


@pytest.mark.parametrize(
    ("old", "since"),
    [
        ({}, OLD),
        ({"in_review": {"S": "1969-12-20T00:00:00.000Z"}}, "1969-12-20T00:00:00.000Z"),
        ({"in_review": {"S": "1969-12-01T00:00:00.000Z"}}, None),  # its message has expired
        ({"recorded_at": {"S": "1969-12-01T00:00:00.000Z"}}, None),
        ({"undelivered": {"S": "event"}}, None),  # it may have none
        ({"outcome": {"S": "ACCEPTED"}}, None),
        ({"execution_arn": {"S": CONTEXT["Execution"]["Id"]}}, None),  # of an earlier attempt
    ],
)
def test_a_photo_that_stays_doubtful_gets_no_second_review_message(
    old: dict[str, Any], since: str | None
) -> None:
    record = {"outcome": "LOW_CONFIDENCE", "recorded_at": OLD, "execution_arn": "arn:earlier"}
    replaced = {name: {"S": text} for name, text in record.items()} | old
    ending = walk({**REFERENCE, "reclassify": True}, inferences=(0.6, 0.4), replaced=replaced)
    assert published(ending).get("in_review") == since
    call = ending.calls["MarkDelivered"]
    assert call["UpdateExpression"] == "REMOVE undelivered" + (" SET in_review = :since" if since else "")
    assert call["ExpressionAttributeValues"].get(":since") == ({"S": since} if since else None)
    accepted = walk({**REFERENCE, "reclassify": True}, replaced=replaced)
    assert "in_review" not in published(accepted)


@pytest.mark.parametrize(
    ("error", "attempts"), [("States.Timeout", 5), ("DynamoDB.ConditionalCheckFailedException", 0)]
)
def test_a_debt_that_stays_ends_as_the_outcome(error: str, attempts: int) -> None:
    ending = walk(failing={"MarkDelivered": TaskError(error, "no service")})
    assert (ending.status, ending.counts["PublishOutcome"]) == ("SUCCEEDED", 1)
    assert ending.counts["MarkDelivered"] > attempts


@pytest.mark.parametrize("value", [None, True, "false", 0, [False], {}])
def test_only_false_keeps_an_outcome_quiet(value: Any) -> None:
    assert "PublishOutcome" in walk({**REFERENCE, "announce": value}).calls
    quiet = walk({**REFERENCE, "announce": False})
    assert not {"PublishOutcome", "MarkDelivered"} & set(quiet.calls)
    assert "undelivered" not in quiet.calls["RecordOutcome"]["Item"]


@pytest.mark.parametrize(("days", "expires"), [("0", None), ("30", 30 * 86_400)])
def test_a_record_expires_after_its_retention(days: str, expires: int | None) -> None:
    record = recorded(walk(workflow=definition(ResultRetentionDays=days)))
    assert record.get("expires_at") == expires, "the virtual time begins at 0"
    table = template()["Resources"]["ResultsTable"]["Properties"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def may_replace(ending: Ending, record: dict[str, Any] | None) -> bool:
    """Evaluate the condition of the write on the record that is there, as DynamoDB does."""
    call = ending.calls["RecordOutcome"]
    assert call["ConditionExpression"] == (
        "attribute_not_exists(object_uri) OR "
        "(attribute_not_exists(decided_by) AND (outcome_rank < :rank OR execution_arn = :execution))"
    )
    values = call["ExpressionAttributeValues"]
    if record is None:
        return True
    rank, execution = float(values[":rank"]["N"]), values[":execution"]["S"]
    mine = record.get("execution_arn") == execution
    return "decided_by" not in record and (record["outcome_rank"] < rank or mine)


REPLACES = {
    "FAILED": set(),
    "REJECTED": {"FAILED"},
    "LOW_CONFIDENCE": {"FAILED", "REJECTED"},
    "ACCEPTED": {"FAILED", "REJECTED"},
}


@pytest.mark.parametrize("earlier", ENDINGS)
@pytest.mark.parametrize("later", ENDINGS)
def test_an_outcome_replaces_only_a_lower_one(later: str, earlier: str) -> None:
    record = recorded(walk(**ENDINGS[earlier])) | {"execution_arn": "another"}
    ending = walk(**ENDINGS[later])
    assert recorded(ending)["outcome"] == later
    assert may_replace(ending, None)
    assert may_replace(ending, record) is (earlier in REPLACES[later])
    assert may_replace(ending, recorded(ending)), "a write that timed out but succeeded is repeated"


@pytest.mark.parametrize("earlier", ENDINGS)
@pytest.mark.parametrize("later", ENDINGS)
def test_a_reclassification_replaces_everything_but_a_persons_decision(later: str, earlier: str) -> None:
    record = recorded(walk(**ENDINGS[earlier])) | {"execution_arn": "another"}
    ending = walk({**REFERENCE, "reclassify": True}, **ENDINGS[later])
    assert may_replace(ending, record)
    decided = record | {"decided_by": "alex"}
    assert not may_replace(ending, decided)
    assert not may_replace(walk(**ENDINGS[later]), decided)


@pytest.mark.parametrize("value", [False, None, "true", 1, [True], {}])
def test_only_true_asks_for_a_reclassification(value: Any) -> None:
    record = recorded(walk()) | {"execution_arn": "another"}
    assert not may_replace(walk({**REFERENCE, "reclassify": value}), record)


@pytest.mark.parametrize("outcome", ENDINGS)
@pytest.mark.parametrize(
    "error", ["DynamoDB.ConditionalCheckFailedException", "DynamoDb.ConditionalCheckFailedException"]
)
def test_a_duplicate_changes_nothing_and_says_so_in_its_end(outcome: str, error: str) -> None:
    first = walk(**ENDINGS[outcome])
    ending = walk(**also_failing(outcome, "RecordOutcome", error))
    assert (ending.status, ending.error) == (first.status, first.error)
    assert not {"PublishOutcome", "MarkDelivered"} & set(ending.calls)
    if ending.status == "SUCCEEDED":
        assert ending.output == {**first.output, "already_recorded": True}
    else:
        why = "already recorded: the record of this version has the same or a higher rank, and stays."
        assert ending.cause == f"{why} {first.cause}"


@pytest.mark.parametrize("outcome", ENDINGS)
def test_outcomes_are_listed_by_time_and_a_share_of_the_accepted_ones_apart(outcome: str) -> None:
    items = [recorded(walk(**ENDINGS[outcome])) for _ in range(3)]
    partitions = {outcome, *([SAMPLE] if outcome == "ACCEPTED" else [])}
    assert {item["outcome_day"] for item in items} <= partitions
    assert f"$outcome = 'ACCEPTED' and $random() < {SAMPLED} ? '#SAMPLE'" in definition_text()
    table = template()["Resources"]["ResultsTable"]["Properties"]
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "by-outcome"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["outcome_day", "recorded_at"]
    for item in items:
        assert {"outcome_day", "recorded_at"} <= set(item), "an item without the keys would not be listed"


@pytest.mark.parametrize("outcome", ENDINGS)
def test_record_and_event_say_the_same(outcome: str) -> None:
    ending = walk(**ENDINGS[outcome])
    detail = {name: value for name, value in published(ending).items() if value is not None}
    record = recorded(ending)
    assert detail == {name: record[name] for name in record if name not in {"outcome_rank", "outcome_day"}}
    assert "Resources" not in ending.calls["PublishOutcome"]["Entries"][0], "Step Functions adds the ARNs"
    timestamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
    assert re.fullmatch(timestamp, detail["recorded_at"])
    assert re.fullmatch(timestamp, detail["started_at"])
    assert detail["execution_arn"].startswith("arn:aws:states:")


VERSION = {**REFERENCE, "version_id": "v", "etag": "e"}


@pytest.mark.parametrize(
    ("start", "photo"),
    [
        *((event(name), one["photo"]) for name, one in expected("eventbridge/").items() if one["matches"]),
        *(({"image_data": "", **photo, "comment": "ignored"}, photo) for photo in (REFERENCE, VERSION)),
    ],
)
def test_an_upload_event_is_read_unchanged_and_direct_input_too(start: Any, photo: dict[str, str]) -> None:
    assert walk(start).calls["SerializeImage"]["Payload"] == photo


@pytest.mark.parametrize(
    "start", [{}, {"s3_bucket": "b"}, {"detail": {}}, {"detail": {"object": {}}}, [], "x", 5]
)
def test_an_input_without_a_photo_reaches_the_function_that_reports_it(start: Any) -> None:
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
    # Rejected before it was read, so the version is that of the input.
    ending = walk({**REFERENCE, **reference}, failing={"SerializeImage": failure("UnsupportedImage")})
    assert recorded(ending)["object_version"] == version
    assert recorded(ending)["object_uri"] == "s3://scones-photos/incoming/samples/bicycle.jpg"
    table = template()["Resources"]["ResultsTable"]["Properties"]["KeySchema"]
    assert [key["AttributeName"] for key in table] == ["object_uri", "object_version"]


@pytest.mark.parametrize(
    "start", [{}, {"s3_bucket": "b"}, {"s3_key": "incoming/a.jpg"}, {"s3_bucket": "b", "s3_key": ""}]
)
def test_inputs_that_name_no_photo_share_no_record(start: dict[str, str]) -> None:
    ending = walk(start, failing={"SerializeImage": failure("ObjectNotFound")})
    assert recorded(ending)["object_version"] == CONTEXT["Execution"]["Name"]


def test_every_payload_stays_far_below_the_limit() -> None:
    serialize = load_function("serialize_image")
    largest = base64.b64encode(bytes(serialize.photo.MAX_ENCODED_BYTES)).decode()
    key = "incoming/" + "\u0001" * (1024 - 9)  # the longest key, of characters with the longest JSON escapes
    start = {**event("eventbridge/object_created.json")}
    start["detail"]["object"]["key"] = key
    for inferences in ((0.97, 0.03), (0.5, 0.5)):
        ending = walk(start, inferences, serialized={**SERIALIZED, "image_data": largest})
        payloads = (*ending.payloads.items(), *ending.calls.items())
        sizes = {name: len(json.dumps(payload)) for name, payload in payloads}
        assert max(sizes.values()) > len(largest)
        assert max(sizes.values()) < PAYLOAD_LIMIT < STATE_LIMIT, sizes
