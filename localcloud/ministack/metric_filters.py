"""CloudWatch Logs as on AWS: what functions log, events whose target is a log group, and filter patterns.

ministack drops the first two, and takes every line for one that matches a JSON pattern; its metric filters do
nothing, so that no metric of logs and no alarm on one has data.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from localcloud.ministack.errors import expect, replaced, wrap

_LINES: Final = 5_000  # of a stream of events
_EVENTS: Final = "events"
_TERM: Final = re.compile(r'\$\.([\w.-]+)\s*(!?=)\s*("[^"]*"|[^\s()]+)')
_IMPORTS: Final = "import sys, json, importlib, traceback, os, time\n"
_LOGGING: Final = """
import logging as _log
class _Json(_log.Formatter):
    def format(self, record):
        known = vars(_log.makeLogRecord({})).keys() | {"message"}
        line = {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))}
        line |= {"level": record.levelname, "message": record.getMessage(), "logger": record.name}
        line |= {name: value for name, value in vars(record).items() if name not in known}
        if record.exc_info:
            line["stackTrace"] = traceback.format_exception(*record.exc_info)
        return json.dumps(line, default=str)
_handler = _log.StreamHandler(sys.stderr)
_handler.setFormatter(_Json())
_log.getLogger().addHandler(_handler)
"""


def logging_script(script: str) -> str:
    """Return the source of a Python worker whose root logger writes as Lambda's does with LogFormat JSON."""
    return replaced(script, {_IMPORTS: _IMPORTS + _LOGGING}, "ministack's Lambda worker")


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


class Lines:
    """Takes what is written to ministack's log groups, and counts it."""

    def __init__(self, logs: Any, record: Callable[..., None]) -> None:
        self._logs, self._record = logs, record

    def counting(self, append: Callable[..., None]) -> Callable[..., None]:
        """Return ministack's function that appends lines to a stream, in which metric filters see them."""

        def append_and_count(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
            append(stream, events)
            for (group, _), one in list(self._logs._metric_filters.items()):
                streams = self._logs._log_groups.get(group, {}).get("streams", {})
                if any(other is stream for other in list(streams.values())):
                    for event in events:
                        for namespace, name, value, dimensions in values(one, event["message"]):
                            self._record(namespace, name, value, "Count", dimensions)

        return append_and_count

    def write(self, group: str, line: str) -> None:
        """Write an event to a log group; one that is gone gets none, as on AWS."""
        if found := self._logs._log_groups.get(group):
            if _EVENTS not in found["streams"]:
                self._logs._create_log_stream({"logGroupName": group, "logStreamName": _EVENTS})
            now = int(time.time() * 1000)
            stream = found["streams"][_EVENTS]
            self._logs._append_log_events(stream, [{"timestamp": now, "message": line, "ingestionTime": now}])
            del stream["events"][:-_LINES]


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.core import lambda_runtime
    from ministack.services import cloudwatch, cloudwatch_logs, eventbridge

    lines = Lines(cloudwatch_logs, cloudwatch.record_metric)

    def to_log_group(invoke: Callable[..., None]) -> Callable[..., None]:
        def invoke_or_write(target: Mapping[str, Any], event: Any, rule: Any, view: Any = None) -> None:
            if ":log-group:" not in str(target.get("Arn")):
                invoke(target, event, rule, view)
                return
            shown = (view or eventbridge._pattern_event_view(event)).event_with_detail()
            lines.write(target["Arn"].split(":log-group:")[1].removesuffix(":*"), json.dumps(shown))

        return invoke_or_write

    def known(compile_: Callable[[str], Any]) -> Callable[[str], Any]:
        return lambda raw: pattern(raw) if (raw or "").strip().startswith("{") else compile_(raw)

    script = logging_script(lambda_runtime._PYTHON_WORKER_SCRIPT)
    lambda_runtime._PYTHON_WORKER_SCRIPT = script
    wrap(eventbridge, "_invoke_target", ("target", "event", "rule", "view"), to_log_group)
    wrap(cloudwatch_logs, "_append_log_events", ("stream", "events"), lines.counting)
    wrap(cloudwatch_logs, "_compile_filter_pattern", ("raw",), known)
