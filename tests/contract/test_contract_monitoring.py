"""Events become log lines, log lines become metrics, and every alarm watches a metric that exists."""

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_contract_rule import EXPRESS, MACHINE, PUBLISHED, STATE_MACHINE_ARN, matches
from tests.support.sam_app import MACHINES, load_function, resources, template

RESOURCES = template()["Resources"]
ALARMS = {name: alarm["Properties"] for name, alarm in resources("AWS::CloudWatch::Alarm").items()}
OUTCOMES = ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED")
OPERATIONS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"
NAMESPACE = {"Fn::Sub": "Scones/${AWS::StackName}"}


@pytest.mark.parametrize(
    ("execution", "more", "matched"),
    [
        (f"execution:{MACHINE}:0f0f", {}, True),
        (f"express:{EXPRESS}:0f0f:1234", {}, True),
        (f"express:{EXPRESS}-test:0f0f:1234", {}, False),
        ("execution:scones-test-ClassifyImageStateMachine-1:0f0f", {}, False),
        (f"execution:{MACHINE}:1", {"object_uri": "s3://scones-photos/incoming/smoke/0f0f/a.jpg"}, False),
        *((f"execution:{MACHINE}:1", {"reviewed": reviewed}, False) for reviewed in (True, False)),
    ],
)
def test_outcomes_of_this_stack_are_logged_but_no_smoke_tests_and_no_persons(
    execution: str, more: dict[str, Any], *, matched: bool
) -> None:
    arn = f"arn:aws:states:us-east-1:111122223333:{execution}"
    detail = {"object_uri": "s3://b/k", "outcome": "ACCEPTED", "execution_arn": arn, **more}
    assert matches("OutcomeRule", {**PUBLISHED, "detail": detail}) is matched


def status_event(status: str, error: str | None = None, machine: str = STATE_MACHINE_ARN) -> Any:
    """Return a status change as Step Functions publishes it for a Standard execution."""
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"stateMachineArn": machine, "status": status, "error": error, "input": "{}"},
    }


@pytest.mark.parametrize(
    ("status", "error", "matched"),
    [
        *((status, None, False) for status in ("SUCCEEDED", "RUNNING")),
        *((status, None, True) for status in ("TIMED_OUT", "ABORTED")),
        *(("FAILED", error, False) for error in ("THRESHOLD_CONFIDENCE_NOT_MET", "UnsupportedImage")),
        *(("FAILED", error, False) for error in ("EndpointUnavailable", "Task.Timeout")),
        *(("FAILED", error, True) for error in ("OutcomeNotDelivered", "States.Runtime")),
        *(("FAILED", f"States.{name}", True) for name in ("QueryEvaluationError", "DataLimitExceeded")),
    ],
)
def test_executions_without_an_outcome_are_logged(status: str, error: str | None, *, matched: bool) -> None:
    rule = "ExecutionWithoutOutcomeRule"
    assert matches(rule, status_event(status, error)) is matched
    assert not matches(rule, status_event("ABORTED", machine="arn:aws:states:::stateMachine:other"))


def test_executions_without_an_outcome_are_counted_from_the_log_of_both_workflows() -> None:
    status = RESOURCES["StatusWithoutOutcomeMetric"]["Properties"]
    assert status["FilterPattern"] == '{ $.source = "aws.states" }'
    assert status["LogGroupName"] == {"Ref": "OutcomeLogGroup"}
    metric = RESOURCES["PhotosWithoutOutcomeMetric"]["Properties"]
    pattern = metric["FilterPattern"]["Fn::Sub"]
    machines = re.findall(r'\$\.execution_arn = "\*:\$\{(\w+)\.Name\}:\*"', pattern)
    assert machines == list(MACHINES.values()), "batches log there too, and people stop them"
    kinds = set(re.findall(r'\$\.type = "(\w+)"', pattern))
    assert kinds == {"ExecutionTimedOut", "ExecutionAborted", "ExecutionFailed"}
    errors = set(re.findall(r'\$\.details\.error = "([\w.*]+)"', pattern))
    assert errors == {"States.*", "OutcomeNotDelivered"}
    for name in MACHINES.values():
        (destination,) = RESOURCES[name]["Properties"]["Logging"]["Destinations"]
        group = destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0]
        assert metric["LogGroupName"] == {"Ref": group}


@pytest.mark.parametrize("rule", ["OutcomeRule", "ExecutionWithoutOutcomeRule"])
def test_eventbridge_may_write_to_the_log_of_its_target(rule: str) -> None:
    (target,) = RESOURCES[rule]["Properties"]["Targets"]
    group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:${OutcomeLogGroup}"
    assert target["Arn"] == {"Fn::Sub": group}
    name = RESOURCES["OutcomeLogGroup"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert name.startswith("/aws/events/"), "EventBridge writes to no other groups"
    policy = json.loads(RESOURCES["OutcomeLogPolicy"]["Properties"]["PolicyDocument"]["Fn::Sub"])
    allowed = {statement["Action"]: statement for statement in policy["Statement"]}
    assert set(allowed) == {"logs:CreateLogStream", "logs:PutLogEvents"}
    for statement in allowed.values():
        assert statement["Resource"] == f"{group}:*"
        services = {"events.amazonaws.com", "delivery.logs.amazonaws.com"}
        assert set(statement["Principal"]["Service"]) == services
    sources = allowed["logs:PutLogEvents"]["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert f"${{{rule}.Arn}}" in sources


def metrics_of(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics that an alarm watches: its own, or those of its expressions."""
    if "Metrics" not in alarm:
        return [alarm]
    return [entry["MetricStat"]["Metric"] for entry in alarm["Metrics"] if "MetricStat" in entry]


@pytest.mark.parametrize("name", ALARMS)
def test_alarms_on_our_metrics_watch_metrics_that_are_written(name: str) -> None:
    written = {
        transformation["MetricName"]: {d["Key"] for d in transformation.get("Dimensions", [])}
        for filter_ in resources("AWS::Logs::MetricFilter").values()
        for transformation in filter_["Properties"]["MetricTransformations"]
        if transformation["MetricNamespace"] == NAMESPACE
    }
    for metric in metrics_of(ALARMS[name]):
        if metric["Namespace"] == NAMESPACE:
            dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
            assert set(dimensions) == written[metric["MetricName"]]
            assert dimensions.get("Outcome", "FAILED") in OUTCOMES


def expression(alarm: str) -> tuple[str, dict[str, str]]:
    """Return the expression that an alarm compares, and the other expressions by their id."""
    entries = {entry["Id"]: entry for entry in ALARMS[alarm]["Metrics"]}
    (compared,) = (entry for entry in entries.values() if entry["ReturnData"])
    return compared["Expression"], {
        name: entry["Expression"] for name, entry in entries.items() if "Expression" in entry
    }


def evaluate(text: str, values: dict[str, float | None]) -> float:
    """Evaluate metric math of IF, FILL and arithmetic; None is a metric without data."""
    functions: dict[str, Any] = {
        "IF": lambda condition, yes, no: yes if condition else no,
        "FILL": lambda value, default: default if value is None else value,
    }
    return float(eval(text, {"__builtins__": {}}, functions | values))  # noqa: S307 - the template's own text


@pytest.mark.parametrize(
    ("counts", "percent"),  # accepted, doubtful, rejected, companions among these, failed
    [
        ((None, None, None, None, None), 0),
        ((None, 10, 9, None, None), 0),  # too few to judge
        ((None, 10, 10, None, None), 100),
        ((60, 20, 20, None, None), 40),
        ((6_000_000, 2_000_000, 2_000_000, None, None), 40),
        ((10, None, None, None, 30), 0),  # FAILED has an alarm of its own
        ((100, None, 200, 200, None), 0),  # Live Photos: HEIC, MOV and AAE
        ((50, 25, 225, 200, None), 50),
        ((10, None, 40, 40, None), 0),  # ten photos are too few, whatever lies beside them
    ],
)
def test_the_alarm_on_photos_that_are_not_accepted_compares_a_share(
    counts: tuple[float | None, ...], percent: float
) -> None:
    text, others = expression("NotAcceptedAlarm")
    names = ("accepted", "doubtful", "rejected", "companions", "failed")
    values: dict[str, float | None] = dict(zip(names, counts, strict=True))
    values["all"] = evaluate(others["all"], values)
    if values["all"] == 0:
        text = text.replace("/ all", "/ 1")  # IF has not chosen yet when Python divides
    assert evaluate(text, values) == percent
    threshold = {"Fn::FindInMap": ["Constants", "Alarm", "NotAcceptedPercent"]}
    assert ALARMS["NotAcceptedAlarm"]["Threshold"] == threshold


COMPANIONS = RESOURCES["CompanionsMetric"]["Properties"]["FilterPattern"]
serialize_image = load_function("serialize_image")


@pytest.mark.parametrize("key", ["IMG_1.MOV", "2026/", "a/thumbs.db", ".trashed-1-b.jpg", "é\n" + "x" * 990])
def test_what_the_function_refuses_by_name_does_not_count_for_the_alarm(key: str) -> None:
    key = f"incoming/@eaDir/{key}"
    with pytest.raises(serialize_image.errors.UnsupportedImage) as refusal:
        serialize_image.identify.check_key(key)
    assert '($.detail.outcome = "REJECTED") &&' in COMPANIONS
    (cause,) = re.findall(r'\$\.detail\.cause = "([^"]+)"', COMPANIONS)
    assert fnmatch.fnmatchcase(str(refusal.value)[:1000], cause)  # the workflow keeps 1,000 characters


def test_a_refusal_of_a_photo_counts_for_the_alarm() -> None:
    with pytest.raises(serialize_image.errors.UnsupportedImage) as refusal:
        serialize_image.photo.shrink(b"a text", longest_side=256, max_pixels=100)
    assert not str(refusal.value).startswith(serialize_image.identify.BESIDE)


def test_the_page_lists_what_lies_beside_photos() -> None:
    page = OPERATIONS.with_name("photos.md").read_text(encoding="utf-8")
    rule = page.partition("## Beside photos\n")[2]
    names = " ".join([*serialize_image.identify.FOLDERS.values(), *serialize_image.identify.ENDINGS.values()])
    assert [name for name in names.split() if f"`{name}`" not in rule] == []


@pytest.mark.parametrize(
    ("age", "visible", "alarmed"),
    [
        *((None, None, False), (90_000, 7, True)),
        (0, 0, False),  # somebody emptied the queue within the hour
        (600, 7, True),  # the oldest were received three times or more, which the age leaves out
        (90_000, 0, True),  # a desk holds them
    ],
)
def test_photos_that_nobody_reviews_raise_an_alarm(
    age: float | None, visible: float | None, *, alarmed: bool
) -> None:
    text, _ = expression("ReviewBacklogAlarm")
    alarm = ALARMS["ReviewBacklogAlarm"]
    assert (evaluate(text, {"age": age, "visible": visible}) > alarm["Threshold"]) is alarmed
    stats = [entry["MetricStat"] for entry in alarm["Metrics"] if "MetricStat" in entry]
    watched = {(stat["Stat"], stat["Period"] * alarm["EvaluationPeriods"]) for stat in stats}
    assert watched == {("Minimum", 86400)}


def test_a_cold_start_raises_no_alarm() -> None:
    """It lasts minutes at most: fewer than the consecutive periods that the alarm needs."""
    alarm = ALARMS["EndpointTroubleAlarm"]
    periods = {entry["MetricStat"]["Period"] for entry in alarm["Metrics"] if "MetricStat" in entry}
    assert periods == {300}
    assert alarm["EvaluationPeriods"] >= 3
    assert "DatapointsToAlarm" not in alarm, "all periods must breach"


@pytest.mark.parametrize("name", ["FailedPhotosAlarm", "PhotosWithoutOutcomeAlarm"])
def test_many_failures_within_an_hour_are_one_alert(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 3600
    assert (alarm["DatapointsToAlarm"], alarm["Threshold"]) == (1, 0)


def test_the_dashboard_shows_the_outcomes() -> None:
    body = json.loads(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    (widget,) = (w["properties"] for w in body["widgets"] if w["properties"]["title"] == "Photos by outcome")
    assert [metric[3] for metric in widget["metrics"] if len(metric) == 4] == list(OUTCOMES)
    assert not any("upload" in w["properties"]["title"] for w in body["widgets"])


@pytest.mark.parametrize("alarm", ALARMS)
def test_the_operations_page_says_what_each_alarm_means_and_what_mends_it(alarm: str) -> None:
    _, _, rest = OPERATIONS.read_text(encoding="utf-8").partition(f"### {alarm}\n")
    section = re.split(r"^##", rest, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (ask|you see|next) \| (.+) \|$", section, re.MULTILINE)
    assert [name for name, _ in rows] == ["ask", "you see", "next"]
    assert re.fullmatch(r"`scones [^`]+`", rows[0][1]), "one command"
