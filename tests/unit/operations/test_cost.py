"""The cost of a month: sums worked out by hand, assumptions held to the application, the page's table."""

import json
import re
from datetime import date
from pathlib import Path

import pytest

from commandline.prices import REGION, Price, instance_prices
from model_build.errors import RefusedError
from operations import cost
from operations.cost import WORKFLOWS, batch_dollars, instances_needed, month, prices, traces
from tests.support.commands import Scones
from tests.support.sam_app import ROOT, definition, resources
from tests.support.workflow_interpreter import ENDINGS, failure, walk

PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


def test_a_million_photos_by_hand() -> None:
    standard, express, batch = (month(1_000_000, workflow) for workflow in WORKFLOWS)
    kib = 1024 * 1024
    assert standard.workflow_usd == pytest.approx(
        1_000_000 * (0.85 * cost.TRANSITIONS["ACCEPTED"] + 0.15 * cost.TRANSITIONS["LOW_CONFIDENCE"]) * 25e-6
    )
    # A request, and 1.5 s of 64 MB; a batch starts one more for eight photos, and its parent a transition.
    assert express.workflow_usd == pytest.approx(1 + 1_000_000 * 1.5 / 16 * 0.00001667)
    assert batch.workflow_usd == pytest.approx(1.125 * express.workflow_usd + 125_000 * 25e-6)
    assert express.endpoint_usd == pytest.approx(1_000_000 * (0.1 * 2 * 0.00002 + 40 / kib * 0.016))
    logged = 1_000_000 * 17 / kib * (0.50 + 0.03)
    assert express.calls_usd - logged == pytest.approx(standard.calls_usd)
    assert standard.calls_usd == pytest.approx(
        1_000_000 * (3 * 0.2e-6 + 0.45 * 0.0000166667 + 2 * 1e-6 + 4 * 0.625e-6 + 0.15 * 3 * 0.4e-6 + 0.4e-6)
        + 1_000_000 * 5 / kib * (0.50 + 0.03)  # logs: ingestion and a month of storage
        + 1_000_000 * 5e-6  # traces: less than one photo a second
    )  # fmt: skip
    assert express.storage_usd == pytest.approx(
        1_000_000 * (3 / 1024 * 0.023 + 5e-6 + 2 / kib * (0.25 + 0.20))
    )
    assert f"line (${1_000_000 * cost.usd('s3_put'):.2f} a million)" in PAGE  # S3 bills LIST as PUT
    assert f"cost ${batch_dollars(1_000_000):.2f}" in PAGE
    assert batch_dollars(1_000_000) == pytest.approx(23.83, abs=0.01)


def test_an_instance_costs_its_hours_and_busy_months_need_more() -> None:
    assert month(1, instance_type="ml.m5.large").endpoint_usd == pytest.approx(730 * 0.115, rel=1e-6)
    assert instances_needed(10_000_000) == 1
    # 43 million photos are 982 a minute on average, 3927 in the busiest minutes.
    assert month(43_000_000, instance_type="ml.m5.large").endpoint == "4 x ml.m5.large"
    with pytest.raises(RefusedError, match=r"ml\.x9\.huge.*ml\.m5\.large"):
        month(1, instance_type="ml.x9.huge")


@pytest.mark.parametrize(
    ("photos", "traced"), [(100_000, 100_000), (10_000_000, 2_628_000 + 0.05 * 7_372_000)]
)
def test_xray_traces_one_a_second_and_five_percent_of_the_others(photos: int, traced: float) -> None:
    assert traces(photos, "EXPRESS") == pytest.approx(traced)


def test_what_is_paid_by_the_month_is_what_the_template_makes() -> None:
    alarms = [alarm["Properties"] for alarm in resources("AWS::CloudWatch::Alarm").values()]
    watched = [sum("MetricStat" in one for one in alarm.get("Metrics", [])) or 1 for alarm in alarms]
    names = {
        filter_["Properties"]["MetricTransformations"][0]["MetricName"]
        for filter_ in resources("AWS::Logs::MetricFilter").values()
    }
    assert sum(watched) == cost.ALARM_METRICS
    assert names == {"Companions", "Photos", "PhotosWithoutOutcome"}
    assert len(names) - 1 + 4 == cost.CUSTOM_METRICS  # Photos is one for each outcome
    assert len(resources("AWS::CloudWatch::Dashboard")) == 1
    assert not resources("AWS::KMS::Key")


@pytest.mark.parametrize("outcome", ["ACCEPTED", "LOW_CONFIDENCE"])
def test_transitions_and_writes_are_those_of_the_workflow(outcome: str) -> None:
    ending, states = walk(**ENDINGS[outcome]), definition()["States"]
    assert ending.calls["RecordOutcome"]["Item"]["outcome"] == {"S": outcome}
    written = [name for name in ending.visited if ":dynamodb:" in states.get(name, {}).get("Resource", "")]
    # Step Functions bills the start and every state entered.
    assert cost.TRANSITIONS[outcome] == 1 + len(ending.visited)
    assert 2 * len(written) == cost.TABLE_WRITES


def test_the_page_shows_what_an_outage_costs() -> None:
    ending = walk(failing={"ClassifyImage": failure("EndpointUnavailable")})
    transitions = 1 + len(ending.visited)
    assert (ending.error, ending.seconds) == ("EndpointUnavailable", 2400)
    assert f"makes {transitions} transitions, {transitions // cost.TRANSITIONS['ACCEPTED']} times" in PAGE
    dollars = 100_000 * transitions * cost.usd("step_functions_standard_transition")
    assert f"100,000 of them cost ${dollars:.0f}." in PAGE


@pytest.mark.parametrize(
    ("table", "package"),
    [(prices(), "operations"), (instance_prices(), "commandline")],
    ids=["services", "instances"],
)
def test_every_price_has_a_source_and_a_date(table: dict[str, Price], package: str) -> None:
    file = json.loads((ROOT / package / "prices.json").read_text(encoding="utf-8"))
    assert file["region"] == REGION == "us-east-1"
    assert "Check them" in file["note"]
    for name, price in table.items():
        assert price.usd > 0, name
        assert re.fullmatch(r"https://aws\.amazon\.com/[a-z0-9/-]+/pricing/([a-z-]+/)?", price.source), name
        assert date(2026, 1, 1) <= date.fromisoformat(price.date), name


def test_every_price_is_used() -> None:
    source = Path(cost.__file__).read_text(encoding="utf-8")
    assert [name for name in prices() if f'"{name}"' not in source] == []


def test_the_command_prints_one_line_and_the_page_its_figures(scones: Scones) -> None:
    rows = re.findall(r"^\| +([\d,]+) \| \$([\d,.]+) \| \$([\d,.]+) \| \$([\d,.]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 3
    for photos, *shown in rows:
        for workflow, dollars in zip(WORKFLOWS, shown, strict=True):
            assert scones("cost", "--photos", photos.replace(",", ""), "--workflow", workflow) == 0
            line = scones.out
            assert line.count("\n") == 1
            assert line.startswith(f"{photos} photos a month: ${dollars} (")
    assert scones("cost", "--json") == 0
    answer = json.loads(scones.out)
    parts = sum(answer[f"{part}_usd"] for part in ("endpoint", "workflow", "calls", "storage", "fixed"))
    assert answer["total_usd"] == pytest.approx(parts)
    assert answer["prices"]["lambda_request"]["source"].startswith("https://")
    assert scones("cost", "--photos", "-1") == scones("cost", "--photos", "9" * 30) == 2
