"""The template's own alarms over time, with the metric math that they have, and the mail that they send."""

import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from localcloud.ministack import alarms
from localcloud.ministack.alarms import add_point, mail, state_of, statistic, value_of
from tests.support.sam_app import constant, resources

ALARMS = {name: alarm["Properties"] for name, alarm in resources("AWS::CloudWatch::Alarm").items()}


def value(alarm: dict[str, Any], metrics: dict[str, float]) -> float | None:
    """Return an alarm's value; a metric is named by itself, or by its outcome."""

    def measure(metric: Any, _stat: str) -> float | None:
        dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions", [])}
        return metrics.get(dimensions.get("Outcome", metric["MetricName"]))

    return value_of(alarm, measure)


@pytest.mark.parametrize(
    ("name", "metrics", "found"),
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
def test_values(name: str, metrics: dict[str, float], found: float | None) -> None:
    assert value(ALARMS[name], metrics) == found


@pytest.mark.parametrize(
    ("name", "values", "state"),
    [
        ("FailedPhotosAlarm", [None] * 12, "OK"),
        ("FailedPhotosAlarm", [None] * 11 + [1.0], "ALARM"),
        ("EndpointTroubleAlarm", [20.0, 20.0, 100.0], "ALARM"),
        ("EndpointTroubleAlarm", [None, 100.0, 100.0], "OK"),
        ("UndeliveredEventsAlarm", [0.0], "OK"),
        ("UndeliveredEventsAlarm", [1.0], "ALARM"),
    ],
)
def test_states(name: str, values: list[float | None], state: str) -> None:
    assert state_of(ALARMS[name], values)[0] == state


def test_an_alarm_without_data_says_so() -> None:
    alarm = {**ALARMS["FailedPhotosAlarm"], "TreatMissingData": "missing"}
    assert state_of(alarm, [None])[0] == "INSUFFICIENT_DATA"


def test_the_threshold_is_that_of_the_template() -> None:
    alarm = {**ALARMS["NotAcceptedAlarm"], "Threshold": constant("Alarm", "NotAcceptedPercent")}
    assert [state_of(alarm, [one])[0] for one in (50.0, 51.0)] == ["OK", "ALARM"]


def test_equal_values_of_a_minute_are_one_point() -> None:
    points: list[dict[str, Any]] = []
    for now in (60.0, 61.0, 119.0, 120.0):
        add_point(points, 1.0, now, {})
    assert [point.get("Count", 1) for point in points] == [3, 1]
    assert [statistic(points, name) for name in ("Sum", "Minimum", "Maximum")] == [4, 1, 1]
    assert statistic([], "Sum") is None


class CloudWatch:
    """What alarms use of ministack's module; metrics by namespace, name and dimensions."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._metrics: dict[Any, list[dict[str, Any]]] = defaultdict(list)

    @staticmethod
    def _dims_key(dimensions: dict[str, str]) -> str:
        return str(dimensions)

    def _record_history(self, *_: Any) -> None:
        pass

    def _dispatch_alarm_actions(self, _alarm: Any, old: str, new: str, _reason: str) -> None:
        self.told.append(f"{old} {new}")

    def record_metric(self, namespace: str, name: str, value: float, _unit: str, dimensions: Any) -> None:
        """Add a point."""
        points = self._metrics[namespace, name, self._dims_key(dimensions)]
        add_point(points, value, time.time(), {})


def test_a_change_is_told_once_and_passes_with_its_period(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1e9
    monkeypatch.setattr(time, "time", lambda: now)
    queue = {"name": "dead", "messages": [{"visible_at": 0, "sent_at": now}]}
    alarm = {**ALARMS["UndeliveredEventsAlarm"], "StateValue": "INSUFFICIENT_DATA", "AlarmName": "one"}
    alarm["Dimensions"] = [{"Name": "QueueName", "Value": "dead"}]
    cloudwatch = CloudWatch()
    evaluator = alarms.Evaluator(cloudwatch, {"url": queue})
    for messages, seconds in ((queue["messages"], 5), (queue["messages"], 5), ([], 301)):
        queue["messages"] = messages
        evaluator._measure(queue, now)  # noqa: SLF001
        evaluator.evaluate(alarm)
        now += seconds
    evaluator.evaluate(alarm)
    assert cloudwatch.told == ["INSUFFICIENT_DATA ALARM", "ALARM OK"]


def test_mail_is_written_to_subscribed_files(tmp_path: Path) -> None:
    inbox = tmp_path / "the mail" / "alerts.txt"
    topic = {"subscriptions": [{"endpoint": inbox.as_uri()}, {"endpoint": "a@b.example"}]}
    told = '{"AlarmDescription": "Photos ended FAILED.\\n", "NewStateReason": "3 > 0"}'
    mail(topic, "ALARM", told)
    mail(topic, "news", "text")
    text = inbox.read_text(encoding="utf-8")
    assert "Subject: ALARM\n\nPhotos ended FAILED.\n\nBecause: 3 > 0\n" in text
    assert text.endswith("Subject: news\n\ntext\n\n")
