"""Filter patterns, the metrics that the template's filters make of lines, and what functions log."""

import json
import subprocess
import sys
from typing import Any

import pytest

from localcloud.ministack.metric_filters import _IMPORTS, Lines, logging_script, pattern, values
from tests.support.sam_app import resources

FILTERS = {name: one["Properties"] for name, one in resources("AWS::Logs::MetricFilter").items()}


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


def test_lines_are_counted_where_their_filter_is() -> None:
    class Logs:
        _log_groups: dict[str, Any] = {  # noqa: RUF012 - as the module has it
            name: {"streams": {"events": {"events": []}}} for name in ("outcomes", "others")
        }
        _metric_filters: dict[Any, Any] = {  # noqa: RUF012
            ("outcomes", "one"): {
                "filterPattern": '{ $.a = "x" }',
                "metricTransformations": [{"metricNamespace": "n", "metricName": "m", "metricValue": "1"}],
            }
        }

    Logs._append_log_events = staticmethod(  # type: ignore[attr-defined]  # noqa: SLF001
        Lines(Logs, lambda *metric: counted.append(metric)).counting(lambda *_: None)
    )
    counted: list[Any] = []
    lines = Lines(Logs, print)
    for group in ("outcomes", "others", "gone"):
        lines.write(group, '{"a": "x"}')
    assert counted == [("n", "m", 1.0, "Count", {})]


def test_a_function_logs_json_with_what_it_adds() -> None:
    source = (
        _IMPORTS + 'import logging; logging.getLogger("app").error("photo %s", "seen", extra={"key": "a"})'
    )
    done = subprocess.run(
        [sys.executable, "-c", logging_script(source)], capture_output=True, text=True, check=True
    )
    line = json.loads(done.stderr)
    assert {line.pop("timestamp")[-1]} == {"Z"}
    assert line == {"level": "ERROR", "message": "photo seen", "logger": "app", "key": "a"}
