"""CloudWatch as on AWS: alarms, metrics of queues, metric filters, logs of events; and mail in a file.

ministack takes for an alarm whatever has the metric's name, and for a filter's match every line. Here periods
slide and are evaluated every five seconds. `MINUTE` seconds count as a minute, so that an alert can be
rehearsed.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import functools
import json
import operator
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from ministack.services import cloudwatch as metrics
from ministack.services import cloudwatch_logs as logs
from ministack.services import eventbridge, lambda_svc, sns, sqs

from localcloud.ministack.repairs import Repairs, expect

REPAIRS: Final = Repairs()
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


def value_of(alarm: Mapping[str, Any], measure: Measure) -> Value:
    """Return the value that an alarm compares with its threshold."""
    if not (queries := alarm.get("Metrics")):
        return measure(alarm, alarm["Statistic"])
    returned = next(query["Id"] for query in queries if query.get("ReturnData", True))
    return Math(queries, measure)[returned]


def state_of(alarm: Mapping[str, Any], values: Sequence[Value]) -> tuple[str, str]:
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


@REPAIRS.instead(metrics, "_evaluate_alarm", "alarm")
def evaluate(alarm: dict[str, Any]) -> None:
    """Bring an alarm to its state, and notify its topic if that is another."""
    now, count = time.time(), int(alarm["EvaluationPeriods"])
    stats = [query["MetricStat"] for query in alarm.get("Metrics") or [] if "MetricStat" in query]
    period = max(one["Period"] for one in stats or [alarm]) * MINUTE / 60
    ends = [now - number * period for number in range(count)]
    values = [value_of(alarm, functools.partial(_measured, end - period, end)) for end in ends]
    state, reason = state_of(alarm, values)
    if state != (old := alarm["StateValue"]):
        alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(now)}
        metrics._record_history(alarm["AlarmName"], old, state, reason)
        metrics._dispatch_alarm_actions(alarm, old, state, reason)


def _measured(start: float, end: float, metric: Mapping[str, Any], stat: str) -> Value:
    dimensions = {one["Name"]: one["Value"] for one in metric.get("Dimensions") or []}
    key = metric["Namespace"], metric["MetricName"], metrics._dims_key(dimensions)
    points = list(metrics._metrics.get(key) or [])
    return statistic([one for one in points if start < one["Timestamp"] <= end], stat)


def measure_queue(queue: Mapping[str, Any], now: float) -> None:
    """Record the metrics of a queue."""
    messages = list(queue["messages"])
    visible = sum(one.get("visible_at", 0) <= now for one in messages)
    age = (now - min((one["sent_at"] for one in messages), default=now)) * 60 / MINUTE
    measured = {
        "ApproximateNumberOfMessagesVisible": visible,
        "ApproximateAgeOfOldestMessage": age - age % 60,
    }
    for name, value in measured.items():
        metrics.record_metric("AWS/SQS", name, value, "None", {"QueueName": queue["name"]})


@REPAIRS.step
def watch() -> None:
    """Measure the queues and evaluate all alarms, for ever."""

    def run() -> None:
        while True:
            time.sleep(MINUTE / 12)
            for queue in list(sqs._queues.values()):
                measure_queue(queue, time.time())
            metrics._evaluate_all_alarms()

    threading.Thread(target=run, daemon=True).start()


@REPAIRS.instead(metrics, "record_metric", "namespace", "metric_name", "value", "unit", "dimensions")
def record(
    namespace: str,
    metric_name: str,
    value: float,
    unit: str = "None",
    dimensions: Mapping[str, str] | None = None,
) -> None:
    """Record a value of a metric."""
    named = dict(dimensions or {})
    points = metrics._metric_bucket((namespace, metric_name, metrics._dims_key(named)))
    add_point(points, float(value), time.time(), {"Unit": unit, "Dimensions": named})


def measure_invocation(function: str, error: bool) -> None:
    """Record the metrics of an invocation."""
    for name, value in (("Invocations", 1), ("Errors", int(error))):
        metrics.record_metric("AWS/Lambda", name, value, "Count", {"FunctionName": function})


# ministack measures invocations by API only.
REPAIRS.instead(lambda_svc, "_emit_lambda_metrics", "function_name", "duration_ms")(lambda *_, **__: None)


def mail(topic: Mapping[str, Any], subject: str, message: str) -> None:
    """Append a message to the files that are subscribed to a topic."""
    try:
        alarm = json.loads(message)
        lines = [alarm["AlarmDescription"].strip(), "", f"Because: {alarm['NewStateReason']}"]
    except (ValueError, LookupError, TypeError, AttributeError):
        lines = [message]
    head = f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000", f"Subject: {subject}", ""
    for one in topic["subscriptions"]:
        address = urlsplit(one["endpoint"])
        if address.scheme == "file":
            file = Path(unquote(address.path))
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("a", encoding="utf-8") as inbox:
                inbox.write("\n".join([*head, *lines, "", ""]))


# --- Logs ---------------------------------------------------------------------------------------------------

_LINES: Final = 5_000  # of a stream of events
_EVENTS: Final = "events"
_TERM: Final = re.compile(r'\$\.([\w.-]+)\s*(!?=)\s*("[^"]*"|[^\s()]+)')


@functools.cache
def pattern(text: str) -> Callable[[str], bool]:
    """Return whether a log line matches a JSON pattern: terms with = or !=, joined by &&, || and ()."""
    terms: list[tuple[str, str, re.Pattern[str]]] = []

    def numbered(found: re.Match[str]) -> str:
        wanted = re.escape(found[3].strip('"')).replace(r"\*", ".*")
        terms.append((found[1], found[2], re.compile(wanted, re.DOTALL)))
        return f" term({len(terms) - 1}) "

    code = _TERM.sub(numbered, text.strip()[1:-1]).replace("&&", " and ").replace("||", " or ")
    expect(not re.search(r"[$!=<>]", code), f"a filter pattern has more than is known here: {text}")
    condition = compile(code.strip(), "<filter pattern>", "eval")

    def matches(line: str) -> bool:
        data = _parsed(line)

        def term(number: int) -> bool:
            path, comparison, wanted = terms[number]
            found = _at(data, path)
            return found is not None and bool(wanted.fullmatch(str(found))) == (comparison == "=")

        return bool(eval(condition, {"term": term}))  # noqa: S307 - numbered terms, and what joins them

    return matches


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _at(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def values(metric_filter: Mapping[str, Any], line: str) -> Iterator[tuple[str, str, float, dict[str, str]]]:
    """Yield namespace, name, value and dimensions of the metrics that a filter makes of a line."""
    if pattern(metric_filter["filterPattern"])(line):
        data = _parsed(line)
        for one in metric_filter["metricTransformations"]:
            chosen = one.get("dimensions") or {}
            dimensions = {name: str(_at(data, path.removeprefix("$."))) for name, path in chosen.items()}
            yield one["metricNamespace"], one["metricName"], float(one["metricValue"]), dimensions


def count(stream: Any, events: list[dict[str, Any]]) -> None:
    """Let metric filters see what is appended to a stream."""
    for (group, _), one in list(logs._metric_filters.items()):
        streams = logs._log_groups.get(group, {}).get("streams", {})
        if any(other is stream for other in list(streams.values())):
            for event in events:
                for namespace, name, value, dimensions in values(one, event["message"]):
                    metrics.record_metric(namespace, name, value, "Count", dimensions)


def write(group: str, line: str) -> None:
    """Write an event to a log group; one that is gone gets none, as on AWS."""
    if found := logs._log_groups.get(group):
        if _EVENTS not in found["streams"]:
            logs._create_log_stream({"logGroupName": group, "logStreamName": _EVENTS})
        now = int(time.time() * 1000)
        stream = found["streams"][_EVENTS]
        logs._append_log_events(stream, [{"timestamp": now, "message": line, "ingestionTime": now}])
        del stream["events"][:-_LINES]


_INVOKE: Final = {
    "    event_payload = json.dumps(view.event_with_detail())\n": """
    event_payload = json.dumps(view.event_with_detail())
    if ":log-group:" in arn:
        return _write(arn.split(":log-group:")[1].removesuffix(":*"), event_payload)
"""
}
_EMIT: Final = {
    "        now = datetime": "        _measure_invocation(fn_name, error)\n        now = datetime"
}
_FAN_OUT: Final = {"    try:\n        _spec": "    _mail(topic, subject, message)\n    try:\n        _spec"}
_LOG: Final = {
    "_compile_filter_pattern": {
        '"{"):\n        return lambda msg: True': '"{"):\n        return _pattern(raw)'
    },
    "_append_log_events": {"    ordered = ": "    _count(stream, events)\n    ordered = "},
}
REPAIRS.rewrite(eventbridge, {"_invoke_target": _INVOKE}, write)
REPAIRS.rewrite(lambda_svc, {"_emit_lambda_logs": _EMIT}, measure_invocation)
REPAIRS.rewrite(sns, {"_fanout": _FAN_OUT}, mail)
REPAIRS.rewrite(logs, _LOG, pattern, count)
