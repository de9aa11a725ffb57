"""The template's own alarms and metric filters: values over time, mail, and what is counted of log lines."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ministack.services import cloudwatch as metrics
from ministack.services import cloudwatch_logs as logs
from ministack.services import eventbridge, lambda_svc, sns

from localcloud.ministack import cloudwatch
from localcloud.ministack.cloudwatch import add_point, mail, pattern, state_of, statistic, value_of, values
from tests.support.sam_app import constant, resources

ALARMS = {name: alarm["Properties"] for name, alarm in resources("AWS::CloudWatch::Alarm").items()}
FILTERS = {name: one["Properties"] for name, one in resources("AWS::Logs::MetricFilter").items()}


def value(alarm: dict[str, Any], measured: dict[str, float]) -> float | None:
    """Return an alarm's value; a metric is named by itself, or by its outcome."""

    def measure(metric: Any, _stat: str) -> float | None:
        dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])}
        return measured.get(dimensions.get("Outcome", metric["MetricName"]))

    return value_of(alarm, measure)


@pytest.mark.parametrize(
    ("name", "measured", "found"),
    [
        ("NotAcceptedAlarm", {}, None),
        ("NotAcceptedAlarm", {"ACCEPTED": 4, "LOW_CONFIDENCE": 15}, 0),  # too few to say anything
        ("NotAcceptedAlarm", {"ACCEPTED": 10, "LOW_CONFIDENCE": 20, "REJECTED": 15, "Companions": 5}, 75),
        ("EndpointTroubleAlarm", {}, None),
        ("EndpointTroubleAlarm", {"Invocations": 8}, 0),
        ("EndpointTroubleAlarm", {"Invocations": 8, "Errors": 2}, 25),
        ("ReviewBacklogAlarm", {"ApproximateNumberOfMessagesVisible": 1}, 1),
        ("ReviewBacklogAlarm", {"ApproximateAgeOfOldestMessage": 3600}, 0),
        ("FailedPhotosAlarm", {"FAILED": 3}, 3),
    ],
)
def test_values(name: str, measured: dict[str, float], found: float | None) -> None:
    assert value(ALARMS[name], measured) == found


@pytest.mark.parametrize(
    ("name", "more", "found", "state"),
    [
        ("FailedPhotosAlarm", {}, [None] * 12, "OK"),
        ("FailedPhotosAlarm", {}, [None] * 11 + [1.0], "ALARM"),
        ("FailedPhotosAlarm", {"TreatMissingData": "missing"}, [None], "INSUFFICIENT_DATA"),
        ("EndpointTroubleAlarm", {}, [20.0, 20.0, 100.0], "ALARM"),
        ("EndpointTroubleAlarm", {}, [None, 100.0, 100.0], "OK"),
        ("UndeliveredEventsAlarm", {}, [0.0], "OK"),
        ("UndeliveredEventsAlarm", {}, [1.0], "ALARM"),
        ("NotAcceptedAlarm", {"Threshold": constant("Alarm", "NotAcceptedPercent")}, [50.0], "OK"),
        ("NotAcceptedAlarm", {"Threshold": constant("Alarm", "NotAcceptedPercent")}, [51.0], "ALARM"),
    ],
)
def test_states(name: str, more: dict[str, Any], found: list[float | None], state: str) -> None:
    assert state_of({**ALARMS[name], **more}, found)[0] == state


def test_equal_values_of_a_minute_are_one_point() -> None:
    points: list[dict[str, Any]] = []
    for now in (60.0, 61.0, 119.0, 120.0):
        add_point(points, 1.0, now, {})
    assert [point.get("Count", 1) for point in points] == [3, 1]
    assert [statistic(points, name) for name in ("Sum", "Minimum", "Maximum")] == [4, 1, 1]
    assert statistic([], "Sum") is None


@pytest.fixture
def repaired(repair: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", lambda **_: SimpleNamespace(start=lambda: None))
    repair(cloudwatch.REPAIRS, metrics, logs, eventbridge, lambda_svc, sns)


@pytest.mark.usefixtures("repaired")
def test_a_change_is_told_once_and_passes_with_its_period(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told = 1e9, list[tuple[str, ...]]()
    monkeypatch.setattr(time, "time", lambda: now)
    monkeypatch.setattr(metrics, "_dispatch_alarm_actions", lambda _, *states: told.append(states[:2]))
    queue = {"name": "dead", "messages": [{"visible_at": 0, "sent_at": now}]}
    alarm = {**ALARMS["UndeliveredEventsAlarm"], "StateValue": "INSUFFICIENT_DATA", "AlarmName": "one"}
    alarm["Dimensions"] = [{"Name": "QueueName", "Value": "dead"}]
    for messages, seconds in ((queue["messages"], 5), (queue["messages"], 5), ([], 301)):
        queue["messages"] = messages
        cloudwatch.measure_queue(queue, now)
        metrics._evaluate_alarm(alarm)  # noqa: SLF001
        now += seconds
    metrics._evaluate_alarm(alarm)  # noqa: SLF001
    assert told == [("INSUFFICIENT_DATA", "ALARM"), ("ALARM", "OK")]


def test_mail_is_written_to_subscribed_files(tmp_path: Path) -> None:
    inbox = tmp_path / "the mail" / "alerts.txt"
    topic = {"subscriptions": [{"endpoint": inbox.as_uri()}, {"endpoint": "a@b.example"}]}
    told = '{"AlarmDescription": "Photos ended FAILED.\\n", "NewStateReason": "3 > 0"}'
    mail(topic, "ALARM", told)
    mail(topic, "news", "text")
    text = inbox.read_text(encoding="utf-8")
    assert "Subject: ALARM\n\nPhotos ended FAILED.\n\nBecause: 3 > 0\n" in text
    assert text.endswith("Subject: news\n\ntext\n\n")


@pytest.mark.parametrize(
    ("text", "line", "matched"),
    [
        ('{ $.a = "x" }', '{"a": "x"}', True),
        ('{ $.a = "x" }', '{"a": "xy"}', False),
        ('{ $.a.b = "x*" }', '{"a": {"b": "xy\\nz"}}', True),
        ('{ $.a != "x" }', '{"a": "y"}', True),
        ('{ $.a != "x" }', "{}", False),
        ('{ ($.a = 1) && (($.b = "y") || ($.c = "(z) && !")) }', '{"a": 1, "c": "(z) && !"}', True),
        ('{ ($.a = 1) && (($.b = "y") || ($.c = "z")) }', '{"a": 2, "c": "z"}', False),
        ('{ $.a = "x" }', "START RequestId", False),
    ],
)
def test_patterns(text: str, line: str, *, matched: bool) -> None:
    assert pattern(text)(line) is matched


def test_an_outcome_is_a_metric_with_its_dimension() -> None:
    one = FILTERS["PhotosMetric"]
    (made,) = one["MetricTransformations"]
    chosen = {each["Key"]: each["Value"] for each in made["Dimensions"]}
    known = {"metricNamespace": "n", "metricName": "Photos", "metricValue": "1", "dimensions": chosen}
    metric_filter = {"filterPattern": one["FilterPattern"], "metricTransformations": [known]}
    line = json.dumps({"source": "scones.vehicle-classification", "detail": {"outcome": "FAILED"}})
    assert list(values(metric_filter, line)) == [("n", "Photos", 1.0, {"Outcome": "FAILED"})]
    assert list(values(metric_filter, '{"source": "aws.states"}')) == []


@pytest.mark.usefixtures("repaired")
def test_lines_are_counted_where_their_filter_is(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Any] = []
    monkeypatch.setattr(metrics, "record_metric", lambda *metric: counted.append(metric))
    for group in ("outcomes", "others"):
        logs._create_log_group({"logGroupName": group})  # noqa: SLF001
    request = {"logGroupName": "outcomes", "filterName": "one", "filterPattern": '{ $.a = "x" }'}
    transformation = {"metricNamespace": "n", "metricName": "m", "metricValue": "1"}
    logs._put_metric_filter({**request, "metricTransformations": [transformation]})  # noqa: SLF001
    for group in ("outcomes", "others", "gone"):
        cloudwatch.write(group, '{"a": "x"}')
    assert counted == [("n", "m", 1.0, "Count", {})]
