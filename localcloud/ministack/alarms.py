"""CloudWatch's alarms as on AWS: periods, missing data, metric math, metrics of queues; and mail in a file.

ministack looks at whatever has the metric's name, ignores the rest, and sends no mail. Here periods slide and
are evaluated every five seconds. `MINUTE` seconds count as a minute, so that an alert can be rehearsed.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

import json
import operator
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from localcloud.ministack.errors import wrap

MINUTE: Final = max(1.0, float(os.environ.get("SCONES_ALARM_MINUTE") or 60))
_POINTS: Final = 2_000  # of a metric; equal values of a minute are one
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
_FUNCTIONS: Final = {
    "FILL": lambda value, other: other if value is None else value,
    "IF": lambda condition, yes, no: yes if condition else no,
}

Alarm = dict[str, Any]
Point = dict[str, Any]
Value = float | None
Measure = Callable[[Mapping[str, Any], str], Value]
"""Returns a statistic of a metric; None if it has no data."""


def add_point(points: list[Point], value: float, now: float, more: Mapping[str, Any]) -> None:
    """Add a value to a metric's points; equal ones within a minute are one point."""
    minute = now - now % MINUTE
    for point in points[-4:]:
        if point["Timestamp"] >= minute and point["Value"] == value:
            point["Count"] = point.get("Count", 1.0) + 1
            return
    points.append({"Timestamp": now, "Value": value, **more})
    del points[:-_POINTS]


def statistic(points: Sequence[Point], name: str) -> Value:
    """Return a statistic of points; None if there are none."""
    if not points:
        return None
    found = [point["Value"] for point in points]
    total = sum(point["Value"] * point.get("Count", 1.0) for point in points)
    return float({"Sum": total, "Minimum": min(found), "Maximum": max(found)}[name])


class Math(dict[str, Value]):
    """Values of metric math by their ids, computed when they are asked for; None where data is missing."""

    def __init__(self, queries: Sequence[Mapping[str, Any]], measure: Measure) -> None:
        super().__init__()
        self._queries, self._measure = {query["Id"]: query for query in queries}, measure

    def __missing__(self, name: str) -> Value:
        """Compute a value; a KeyError is the name of a function."""
        query = self._queries[name]
        if metric := query.get("MetricStat"):
            self[name] = self._measure(metric["Metric"], metric["Stat"])
        else:
            try:
                self[name] = eval(query["Expression"], {"__builtins__": {}, **_FUNCTIONS}, self)  # noqa: S307
            except (TypeError, ZeroDivisionError):  # data is missing, or the result is no number
                self[name] = None
        return self[name]


def value_of(alarm: Alarm, measure: Measure) -> Value:
    """Return the value that an alarm compares with its threshold."""
    if not (queries := alarm.get("Metrics")):
        return measure(alarm, alarm["Statistic"])
    returned = next(query["Id"] for query in queries if query.get("ReturnData", True))
    return Math(queries, measure)[returned]


def state_of(alarm: Alarm, values: Sequence[Value]) -> tuple[str, str]:
    """Return the state of an alarm by the values of its periods, the newest first, and why."""
    missing = {"breaching": True, "notBreaching": False}.get(alarm.get("TreatMissingData", "missing"))
    above, threshold = _COMPARISONS[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    breaching = [missing if value is None else above(value, threshold) for value in values]
    if all(one is None for one in breaching):
        return "INSUFFICIENT_DATA", "there is no data"
    needed = int(alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"])
    shown = ", ".join("missing" if value is None else f"{value:g}" for value in values)
    state = "ALARM" if breaching.count(True) >= needed else "OK"
    return state, f"threshold {threshold:g}, the last periods had {shown}"


class Evaluator:
    """Evaluates the alarms of ministack's CloudWatch, and measures its queues."""

    def __init__(self, cloudwatch: Any, queues: Mapping[str, Any]) -> None:
        self._cloudwatch, self._queues = cloudwatch, queues

    def evaluate(self, alarm: Alarm) -> None:
        """Bring an alarm to its state, and notify its topic if that is another."""
        now, count = time.time(), int(alarm["EvaluationPeriods"])
        stats = [query["MetricStat"] for query in alarm.get("Metrics") or [] if "MetricStat" in query]
        period = max(one["Period"] for one in stats or [alarm]) * MINUTE / 60
        ends = [now - number * period for number in range(count)]
        values = [value_of(alarm, self._measuring(end - period, end)) for end in ends]
        state, reason = state_of(alarm, values)
        if state != (old := alarm["StateValue"]):
            alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(now)}
            self._cloudwatch._record_history(alarm["AlarmName"], old, state, reason)
            self._cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)

    def _measuring(self, start: float, end: float) -> Measure:
        def measure(metric: Mapping[str, Any], stat: str) -> Value:
            dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}
            key = metric["Namespace"], metric["MetricName"], self._cloudwatch._dims_key(dimensions)
            points = self._cloudwatch._metrics.get(key) or []
            return statistic([one for one in list(points) if start < one["Timestamp"] <= end], stat)

        return measure

    def run(self) -> None:
        """Measure the queues and evaluate all alarms, for ever."""
        while True:
            time.sleep(MINUTE / 12)
            for queue in list(self._queues.values()):
                self._measure(queue, time.time())
            self._cloudwatch._evaluate_all_alarms()

    def _measure(self, queue: Mapping[str, Any], now: float) -> None:
        messages = list(queue["messages"])
        visible = sum(one.get("visible_at", 0) <= now for one in messages)
        age = (now - min((one["sent_at"] for one in messages), default=now)) * 60 / MINUTE
        measured = {
            "ApproximateNumberOfMessagesVisible": visible,
            "ApproximateAgeOfOldestMessage": age - age % 60,
        }
        for name, value in measured.items():
            self._cloudwatch.record_metric("AWS/SQS", name, value, "None", {"QueueName": queue["name"]})


def mail(topic: Mapping[str, Any], subject: str, message: str) -> None:
    """Append a message to the files that are subscribed to a topic."""
    try:
        alarm = json.loads(message)
        lines = [alarm["AlarmDescription"].strip(), "", f"Because: {alarm['NewStateReason']}"]
    except (ValueError, LookupError, TypeError, AttributeError):
        lines = [message]
    for one in topic["subscriptions"]:
        address = urlsplit(one["endpoint"])
        if address.scheme == "file":
            file = Path(unquote(address.path))
            file.parent.mkdir(parents=True, exist_ok=True)
            head = f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000", f"Subject: {subject}", ""
            with file.open("a", encoding="utf-8") as inbox:
                inbox.write("\n".join([*head, *lines, "", ""]))


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import cloudwatch, lambda_svc, sns, sqs

    evaluator = Evaluator(cloudwatch, sqs._queues)

    def recording(_: Any) -> Callable[..., None]:
        def record(
            namespace: str,
            metric_name: str,
            value: float,
            unit: str = "None",
            dimensions: Mapping[str, str] | None = None,
        ) -> None:
            named = dict(dimensions or {})
            points = cloudwatch._metric_bucket((namespace, metric_name, cloudwatch._dims_key(named)))
            add_point(points, float(value), time.time(), {"Unit": unit, "Dimensions": named})

        return record

    def mailing(fanout: Callable[..., None]) -> Callable[..., None]:
        def fan_out(topic_arn: str, msg_id: str, message: str, subject: str, *more: Any, **named: Any) -> Any:
            fanout(topic_arn, msg_id, message, subject, *more, **named)
            if topic := sns._topic_by_arn_any_scope(topic_arn):
                mail(topic, subject, message)

        return fan_out

    def measuring(emit: Callable[..., None]) -> Callable[..., None]:
        def emit_and_measure(
            func: Any, request_id: str, log_text: str, error: bool, *more: Any, **named: Any
        ) -> Any:
            emit(func, request_id, log_text, error, *more, **named)
            function = {"FunctionName": (func.get("config") or func)["FunctionName"]}
            for name, value in (("Invocations", 1), ("Errors", int(error))):
                cloudwatch.record_metric("AWS/Lambda", name, value, "Count", function)

        return emit_and_measure

    def unmeasured(_: Any) -> Callable[..., None]:  # of invocations by API only
        return lambda function_name, duration_ms, error, throttle: None  # noqa: ARG005

    wrap(lambda_svc, "_emit_lambda_logs", ("func", "request_id", "log_text", "error"), measuring)
    wrap(lambda_svc, "_emit_lambda_metrics", ("function_name", "duration_ms"), unmeasured)
    wrap(cloudwatch, "record_metric", ("namespace", "metric_name", "value", "unit", "dimensions"), recording)
    wrap(cloudwatch, "_evaluate_alarm", ("alarm",), lambda _: evaluator.evaluate)
    wrap(sns, "_fanout", ("topic_arn", "msg_id", "message", "subject"), mailing)
    threading.Thread(target=evaluator.run, daemon=True).start()
