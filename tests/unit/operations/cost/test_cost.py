"""The cost calculator: sums that were worked out by hand, and assumptions held to the application."""

import json
import re
from collections import deque
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from model_build.endpoint.prices import PriceTable, instance_prices
from model_build.errors import RefusedError
from operations.__main__ import main
from operations.batch.run import Options
from operations.commands.batch import PHOTOS_A_BATCH
from operations.cost import calculator
from operations.cost.calculator import (
    BatchUsage,
    Instances,
    Serverless,
    Usage,
    batch_dollars,
    instances_needed,
    month,
    prices,
)
from operations.outcomes import OUTCOMES
from tests.support.sam_app import resources

ROOT = Path(__file__).resolve().parents[4]


def run(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["cost", *options]) == 0
    return capsys.readouterr().out


def test_an_idle_instance_costs_its_hours() -> None:
    idle = month(0, hosting=Instances("ml.m5.large"), workflow="STANDARD")

    assert idle.endpoint_usd == pytest.approx(730 * 0.115)
    assert idle.endpoint == "1 x ml.m5.large"


def test_without_photos_only_what_is_paid_by_the_month_costs() -> None:
    idle = month(0, hosting=Serverless(6144), workflow="EXPRESS")

    assert (idle.endpoint_usd, idle.workflow_usd, idle.photos_usd) == (0, 0, 0)
    assert idle.total_usd == idle.rest_usd == pytest.approx(13 * 0.1 + 6 * 0.3 + 3)


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
    assert names == {"Companions", "Photos", "PhotosWithoutOutcome"}
    assert Usage.custom_metrics == len(OUTCOMES) + 2


def test_a_million_photos_by_hand() -> None:
    usage = Usage(transitions=10, workflow_seconds=2.0, inference_seconds=0.1, endpoint_kb=0)

    standard = month(1_000_000, hosting=Serverless(2048), workflow="STANDARD", usage=usage)
    express = month(1_000_000, hosting=Serverless(2048), workflow="EXPRESS", usage=usage)

    assert standard.workflow_usd == pytest.approx(10 * 25)  # 25 dollars a million transitions
    # 1 dollar a million requests, and 2 s x 1/16 GB x 0.00001667 dollars a photo
    assert express.workflow_usd == pytest.approx(1 + 1_000_000 * 2 / 16 * 0.00001667)
    assert standard.endpoint_usd == pytest.approx(1_000_000 * 0.1 * 2 * 0.00002)
    assert standard.rest_usd == express.rest_usd
    assert standard.total_usd - express.total_usd == pytest.approx(
        standard.workflow_usd - express.workflow_usd
    )


def test_storage_is_paid_for_as_long_as_photos_are_kept() -> None:
    short = month(1000, hosting=Serverless(1024), workflow="EXPRESS", usage=Usage(kept_months=1))
    long = month(1000, hosting=Serverless(1024), workflow="EXPRESS", usage=Usage(kept_months=3))

    assert long.photos_usd - short.photos_usd == pytest.approx(2 * 1000 * 3.0 / 1024 * 0.023)


def test_busy_months_need_more_instances() -> None:
    usage = Usage(peak_factor=4, invocations_per_instance=1000)

    assert instances_needed(0, usage) == 1
    assert instances_needed(10_000_000, usage) == 1
    # 43 million photos are 982 a minute on average, 3927 in the busiest minutes.
    assert instances_needed(43_000_000, usage) == 4
    assert month(43_000_000, hosting=Instances("ml.m5.large"), workflow="EXPRESS").endpoint.startswith("4 x")


def test_unknown_instance_type_is_refused_with_those_known() -> None:
    with pytest.raises(RefusedError, match=r"ml\.x9\.huge.*ml\.m5\.large"):
        month(1, hosting=Instances("ml.x9.huge"), workflow="STANDARD")


@pytest.mark.parametrize("table", [prices(), instance_prices()], ids=["services", "instances"])
def test_every_price_has_a_source_and_a_date(table: PriceTable) -> None:
    assert table.region == "us-east-1"
    assert "Check them" in table.note
    for name, price in table.prices.items():
        assert price.usd > 0, name
        assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9/-]+/pricing/([a-z-]+/)?", price.source), name
        assert date(2026, 1, 1) <= date.fromisoformat(price.date), name


def test_prices_that_were_corrected() -> None:
    assert instance_prices().usd("ml.g4dn.xlarge") == 0.7364


def test_every_price_is_used() -> None:
    source = Path(calculator.__file__).read_text(encoding="utf-8")

    assert [name for name in prices().prices if f'"{name}"' not in source] == []


@pytest.mark.parametrize(
    ("photos", "traced"),
    [
        (0, 0),
        (100_000, 100_000),  # far less than one a second: every photo
        (2_628_000, 2_628_000),  # one a second, all month
        (10_000_000, 2_628_000 + 0.05 * 7_372_000),
    ],
)
def test_xray_traces_one_a_second_and_five_percent_of_the_others(photos: int, traced: float) -> None:
    assert calculator.traces(photos, Usage()) == pytest.approx(traced)


def test_what_grows_with_the_photos_by_hand() -> None:
    none, some = (
        month(count, hosting=Serverless(1024), workflow="EXPRESS").rest_usd for count in (0, 1_000_000)
    )

    kib = 1024 * 1024
    expected = (
        1_000_000 * (3 * 0.2e-6 + 0.45 * 0.0000166667 + 2 * 1e-6 + 2 * 0.625e-6 + 0.15 * 3 * 0.4e-6)
        + 1_000_000 * 2 / kib * (0.25 + 0.20)  # records: storage and recovery
        + 1_000_000 * 5 / kib * (0.50 + 0.03)  # logs: ingestion and a month of storage
        + 1_000_000 * 5e-6  # traces: less than one photo a second
    )
    assert some - none == pytest.approx(expected)


def test_a_workflow_that_logs_everything_costs_more() -> None:
    quiet, loud = (
        month(
            10_000_000, hosting=Serverless(1024), workflow="EXPRESS", usage=Usage(workflow_log_kb=kb)
        ).rest_usd
        for kb in (0, 17)
    )

    assert loud - quiet == pytest.approx(10_000_000 * 17 / 1024 / 1024 * 0.53)


def test_a_batch_is_counted_as_it_runs() -> None:
    function = resources("AWS::Serverless::Function")["ClassifyBatchFunction"]["Properties"]
    assert function["MemorySize"] / 1024 == calculator.BATCH_FUNCTION_GB
    assert BatchUsage.photos == PHOTOS_A_BATCH == Options.photos_a_batch


def test_a_million_photos_in_batches_by_hand() -> None:
    batches = 1_000_000 / 50
    by_hand = (
        1_000_000 * 0.05 * 2 * 0.00002  # serverless endpoint of 2 GB
        + 1_000_000 * 40 / 1024 / 1024 * 0.016  # its data
        + batches * (0.000001 + 0.000025)  # a child, and the parent's transition
        + 1_000_000 * 0.1 * 64 / 1024 * 0.00001667
        + batches * 0.0000002
        + 1_000_000 * 0.1 * 1769 / 1024 * 0.0000166667
        + 1_000_000 * (0.000001 + 4 * 0.000000625 + 0.000000125)  # event, writes, read
        + 1_000_000 * 0.15 * 2.1 * 0.0000004  # reviews
        + 1_000_000 * (0.0000004 + 0.001 * 0.000005)  # S3
        + (1_000_000 * 1 + batches * 1) / 1024 / 1024 * (0.5 + 0.03)  # logs
    )
    assert batch_dollars(1_000_000) == pytest.approx(by_hand, rel=0.001)
    assert batch_dollars(1_000_000) < 12
    alone = month(1_000_000, hosting=Serverless(2048), workflow="EXPRESS")
    together = month(1_000_000, hosting=Serverless(2048), workflow="BATCH")
    assert together.total_usd < alone.total_usd


def test_json_lists_every_combination_with_prices_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(run(capsys, "--photos", "1000", "100000", "10000000", "--json"))

    assert answer["prices"]["lambda_request"] == asdict(prices().prices["lambda_request"])
    assert answer["prices"]["sagemaker_instance_hour"]["ml.m5.large"]["usd"] == 0.115
    combinations = {
        (c["photos"], c["endpoint"].split()[0] == "serverless", c["workflow"]) for c in answer["costs"]
    }
    assert len(combinations) == len(answer["costs"]) == 3 * 2 * 3
    for line in answer["costs"]:
        parts = ("endpoint_usd", "workflow_usd", "photos_usd", "rest_usd")
        assert line["total_usd"] == pytest.approx(sum(line[part] for part in parts))


def test_table_shows_a_line_per_combination_and_where_the_prices_come_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = run(capsys, "--photos", "1000")

    assert len([line for line in text.splitlines() if line.startswith("|")]) == 2 + 6
    assert prices().date in text


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
