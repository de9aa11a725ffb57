"""The cost calculator: sums that were worked out by hand, and assumptions held to the application."""

import json
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from model_build.endpoint.prices import instance_prices
from model_build.errors import RefusedError
from operations.__main__ import main
from operations.cost.calculator import Instances, Serverless, Usage, instances_needed, month, prices
from operations.outcomes import OUTCOMES
from tests.support.sam_app import resources

ROOT = Path(__file__).resolve().parents[4]


def run(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["cost", *options]) == 0
    return capsys.readouterr().out


def test_an_idle_instance_costs_its_hours() -> None:
    idle = month(0, hosting=Instances("ml.m5.large"), express=False)

    assert idle.endpoint_usd == pytest.approx(730 * 0.115)
    assert idle.endpoint == "1 x ml.m5.large"


def test_without_photos_only_what_is_paid_by_the_month_costs() -> None:
    idle = month(0, hosting=Serverless(6144), express=True)

    assert (idle.endpoint_usd, idle.workflow_usd, idle.photos_usd) == (0, 0, 0)
    assert idle.total_usd == idle.rest_usd == pytest.approx(1 + 11 * 0.1 + 5 * 0.3 + 3)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("AWS::KMS::Key", Usage.keys),
        ("AWS::CloudWatch::Dashboard", Usage.dashboards),
    ],
)
def test_what_is_paid_by_the_month_is_what_the_template_makes(kind: str, counted: int) -> None:
    assert counted == len(resources(kind))


def test_metrics_are_those_of_the_template() -> None:
    alarms = [alarm["Properties"] for alarm in resources("AWS::CloudWatch::Alarm").values()]
    watched = [
        [m for m in alarm["Metrics"] if "MetricStat" in m] if "Metrics" in alarm else [1] for alarm in alarms
    ]
    assert Usage.alarm_metrics == sum(map(len, watched))
    names = {
        filter_["Properties"]["MetricTransformations"][0]["MetricName"]
        for filter_ in resources("AWS::Logs::MetricFilter").values()
    }
    assert names == {"Photos", "PhotosWithoutOutcome"}
    assert Usage.custom_metrics == len(OUTCOMES) + 1


def test_a_million_photos_by_hand() -> None:
    usage = Usage(transitions=10, workflow_seconds=2.0, inference_seconds=0.1, endpoint_kb=0)

    standard = month(1_000_000, hosting=Serverless(2048), express=False, usage=usage)
    express = month(1_000_000, hosting=Serverless(2048), express=True, usage=usage)

    assert standard.workflow_usd == pytest.approx(10 * 25)  # 25 dollars a million transitions
    # 1 dollar a million requests, and 2 s x 1/16 GB x 0.00001667 dollars a photo
    assert express.workflow_usd == pytest.approx(1 + 1_000_000 * 2 / 16 * 0.00001667)
    assert standard.endpoint_usd == pytest.approx(1_000_000 * 0.1 * 2 * 0.00002)
    assert standard.rest_usd == express.rest_usd
    assert standard.total_usd - express.total_usd == pytest.approx(
        standard.workflow_usd - express.workflow_usd
    )


def test_storage_is_paid_for_as_long_as_photos_are_kept() -> None:
    short = month(1000, hosting=Serverless(1024), express=True, usage=Usage(kept_months=1))
    long = month(1000, hosting=Serverless(1024), express=True, usage=Usage(kept_months=3))

    assert long.photos_usd - short.photos_usd == pytest.approx(2 * 1000 * 3.0 / 1024 * 0.023)


def test_busy_months_need_more_instances() -> None:
    usage = Usage(peak_factor=4, invocations_per_instance=1000)

    assert instances_needed(0, usage) == 1
    assert instances_needed(10_000_000, usage) == 1
    # 43 million photos are 982 a minute on average, 3927 in the busiest minutes.
    assert instances_needed(43_000_000, usage) == 4
    assert month(43_000_000, hosting=Instances("ml.m5.large"), express=True).endpoint.startswith("4 x")


def test_unknown_instance_type_is_refused_with_those_known() -> None:
    with pytest.raises(RefusedError, match=r"ml\.x9\.huge.*ml\.m5\.large"):
        month(1, hosting=Instances("ml.x9.huge"), express=False)


def test_price_table_says_when_where_and_whence() -> None:
    table = prices()

    assert table["region"] == "us-east-1"
    assert len(table["date"].split("-")) == 3
    assert "check" in table["source"]
    numbers = [value for value in table.values() if isinstance(value, float)]
    assert min(*numbers, *instance_prices().instance_hour.values()) > 0


def test_json_lists_every_combination_with_prices_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(run(capsys, "--photos", "1000", "100000", "10000000", "--json"))

    assert answer["prices"] == {**prices(), "sagemaker_instance_hour": instance_prices().instance_hour}
    combinations = {
        (c["photos"], c["endpoint"].split()[0] == "serverless", c["workflow"]) for c in answer["costs"]
    }
    assert len(combinations) == len(answer["costs"]) == 3 * 2 * 2
    for line in answer["costs"]:
        parts = ("endpoint_usd", "workflow_usd", "photos_usd", "rest_usd")
        assert line["total_usd"] == pytest.approx(sum(line[part] for part in parts))


def test_table_shows_a_line_per_combination_and_where_the_prices_come_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = run(capsys, "--photos", "1000")

    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 4
    assert prices()["date"] in text


@pytest.mark.parametrize("options", [["--photos", "-1"], ["--serverless-memory", "1000"]])
def test_invalid_options_are_refused_by_name(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert main(["cost", *options]) == 2
    assert options[0] in capsys.readouterr().err


def test_transitions_are_those_of_the_workflow() -> None:
    definition = json.loads((ROOT / "statemachine" / "classify_image.asl.json").read_text(encoding="utf-8"))

    # Step Functions bills the start and every state entered.
    assert Usage.transitions == 1 + _states_to_success(definition)


def _states_to_success(definition: dict[str, Any]) -> int:
    """How many states an execution enters that succeeds without a detour."""
    waiting = deque([(definition["StartAt"], 1)])
    while waiting:
        name, count = waiting.popleft()
        state = definition["States"][name]
        if state["Type"] == "Succeed":
            return count
        following = [state.get("Next"), state.get("Default"), *[c["Next"] for c in state.get("Choices", [])]]
        waiting.extend((after, count + 1) for after in following if after)
    raise AssertionError("no state of type Succeed can be reached")


def test_the_readme_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    table = run(capsys).partition("\n\n")[0]

    assert table in (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
