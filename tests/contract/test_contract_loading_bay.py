"""The example of what a business does with the outcomes: off by default, and right when it is on."""

import copy
import json
from typing import Any

import pytest
from moto.events.models import EventPattern

from tests.support.sam_app import template

RESOURCES = template()["Resources"]
OF_THE_EXAMPLE = {name for name, one in RESOURCES.items() if one.get("Condition") == "HasLoadingBay"}


def matches(detail: dict[str, Any]) -> bool:
    pattern = copy.deepcopy(RESOURCES["LoadingBayRule"]["Properties"]["EventPattern"])
    text = json.dumps(pattern).replace(json.dumps({"Fn::Sub": "s3://${PhotoBucket}/"}), '"s3://photos/"')
    assert "Fn::" not in text
    event: Any = {
        "source": "scones.vehicle-classification",
        "detail-type": "Vehicle Classified",
        "detail": {"object_uri": "s3://photos/incoming/a.jpg", **detail},
    }
    return bool(EventPattern.load(text).matches_event(event))


def test_it_is_off_by_default() -> None:
    assert template()["Parameters"]["LoadingBay"]["Default"] == "false"
    assert {"LoadingBayQueue", "LoadingBayQueuePolicy", "LoadingBayRule", "FleetMetric"} == OF_THE_EXAMPLE


@pytest.mark.parametrize(
    ("detail", "sent"),
    [
        ({"outcome": "ACCEPTED"}, True),
        ({"outcome": "ACCEPTED", "reviewed": True}, True),
        ({"outcome": "LOW_CONFIDENCE"}, False),
        ({"outcome": "REJECTED", "reviewed": True}, False),
        ({"outcome": "ACCEPTED", "object_uri": "s3://another/incoming/a.jpg"}, False),
    ],
)
def test_the_bay_hears_of_accepted_photos_of_this_stack(detail: dict[str, Any], *, sent: bool) -> None:
    assert matches(detail) is sent


def test_only_the_rule_may_send_to_the_bay() -> None:
    (statement,) = RESOURCES["LoadingBayQueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Condition"] == {
        "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["LoadingBayRule", "Arn"]}}
    }


def test_vehicles_are_counted_by_label() -> None:
    (metric,) = RESOURCES["FleetMetric"]["Properties"]["MetricTransformations"]
    assert metric["Dimensions"] == [{"Key": "Label", "Value": "$.detail.label"}]
    assert metric["MetricValue"] == "1"
