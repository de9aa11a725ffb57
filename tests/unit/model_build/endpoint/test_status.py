"""An endpoint's status: from AWS's descriptions to what a person and a script read."""

from dataclasses import replace
from typing import Any

import pytest

from model_build.commands.status import as_text
from model_build.endpoint.status import EndpointStatus, idle_usd_an_hour

SERVING = EndpointStatus(
    endpoint_name="scones",
    status="InService",
    failure_reason=None,
    serving="scones-20261123-101500-042",
    instance_type="ml.m5.large",
    instances=2,
    serverless_memory_mb=None,
    capture=True,
    scaling=None,
    scaling_unknown=None,
    labels=("bicycle", "motorcycle"),
    log_group="/aws/sagemaker/Endpoints/scones",
    usd_an_hour=0.23,
    versions=("scones-20261123-101500-042",),
    models=("scones-20261123-101500-042",),
)
GONE = replace(
    SERVING,
    status=None,
    serving=None,
    instance_type=None,
    instances=0,
    labels=None,
    log_group=None,
    versions=(),
    models=(),
)


@pytest.mark.parametrize(
    ("variant", "instances", "usd"),
    [
        ({"ServerlessConfig": {"MemorySizeInMB": 2048}}, 0, 0.0),
        ({"InstanceType": "ml.c5.large"}, 3, 0.306),
        ({"InstanceType": "ml.x9.huge"}, 1, None),
    ],
)
def test_cost_of_an_idle_endpoint(variant: dict[str, Any], instances: int, usd: float | None) -> None:
    assert idle_usd_an_hour(variant, instances) == (usd if usd is None else pytest.approx(usd))


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            SERVING,
            ["endpoint scones: InService", "2 x ml.m5.large", "capture     on", "$0.230 an hour, $167.90"],
        ),
        (replace(SERVING, scaling=(1, 4)), ["2 x ml.m5.large (scales from 1 to 4)"]),
        (
            replace(SERVING, scaling_unknown="denied"),
            ["2 x ml.m5.large (auto scaling can't be read: denied)"],
        ),
        (replace(SERVING, status="Failed", failure_reason="no capacity"), ["reason      no capacity"]),
        (replace(SERVING, usd_an_hour=None), ["unknown: prices.json has no price for ml.m5.large"]),
        (
            replace(SERVING, serverless_memory_mb=2048, capture=False),
            ["serverless, 2048 MB", "nothing while idle"],
        ),
        (GONE, ["endpoint scones does not exist"]),
        (replace(GONE, models=("a", "b")), ["left over: 0 endpoint configurations, 2 models ("]),
        (
            replace(GONE, log_group="/aws/sagemaker/Endpoints/scones"),
            ["left over: the log group /aws/sagemaker/Endpoints/scones ("],
        ),
        (SERVING, ["labels      bicycle, motorcycle", "logs        /aws/sagemaker/Endpoints/scones"]),
        (replace(SERVING, labels=None, log_group=None), ["labels      unknown", "logs        none"]),
    ],
)
def test_text_for_a_person(found: EndpointStatus, lines: list[str]) -> None:
    text = as_text(found)

    for line in lines:
        assert line in text
