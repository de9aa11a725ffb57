"""A burst of photos on a cold endpoint, through the whole application, ten times faster than in reality.

50 photos at once; the endpoint needs 6 s to wake (in reality up to 60) and takes 2 requests at a time of the
4 that the local cloud sends.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from localcloud.application import ENDPOINT_NAME
from localcloud.sagemaker.container import COLD_START_VARIABLE
from tests.e2e.test_e2e_workflow import RED
from tests.support.local_cloud import Listener, LocalCloud, wait_until

PHOTOS = 50
AT_A_TIME = 2
WAKES_AFTER_S = 6


@pytest.fixture
def cold_endpoint(cloud: LocalCloud) -> Iterator[None]:
    """Replace the application's endpoint by a serverless one with the same model."""
    sagemaker = cloud.client("sagemaker")
    before = sagemaker.describe_endpoint(EndpointName=ENDPOINT_NAME)["EndpointConfigName"]
    (variant,) = sagemaker.describe_endpoint_config(EndpointConfigName=before)["ProductionVariants"]
    model = sagemaker.describe_model(ModelName=variant["ModelName"])
    container, role = model["PrimaryContainer"], model["ExecutionRoleArn"]
    container["Environment"] = container.get("Environment", {}) | {COLD_START_VARIABLE: str(WAKES_AFTER_S)}
    sagemaker.create_model(ModelName="cold", ExecutionRoleArn=role, PrimaryContainer=container)
    size = {"MemorySizeInMB": 1024, "MaxConcurrency": AT_A_TIME}
    sagemaker.create_endpoint_config(
        EndpointConfigName="cold",
        ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": "cold", "ServerlessConfig": size}],
    )
    replace_endpoint(cloud, "cold")
    yield
    replace_endpoint(cloud, before)


def replace_endpoint(cloud: LocalCloud, config: str) -> None:
    """Delete the endpoint and create it again: one kind does not become the other."""
    sagemaker = cloud.client("sagemaker")
    waiting = {"EndpointName": ENDPOINT_NAME, "WaiterConfig": {"Delay": 1, "MaxAttempts": 60}}
    sagemaker.delete_endpoint(EndpointName=ENDPOINT_NAME)
    sagemaker.get_waiter("endpoint_deleted").wait(**waiting)
    sagemaker.create_endpoint(EndpointName=ENDPOINT_NAME, EndpointConfigName=config)
    sagemaker.get_waiter("endpoint_in_service").wait(**waiting)


@pytest.mark.usefixtures("cold_endpoint")
def test_a_burst_on_a_cold_endpoint_loses_no_photo(cloud: LocalCloud, published: Listener) -> None:
    keys = [f"incoming/burst/{number}.jpg" for number in range(PHOTOS)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: cloud.upload(key, RED), keys))

    def burst() -> list[dict[str, Any]]:
        details = [event["detail"] for event in published.messages()]
        return [detail for detail in details if "/incoming/burst/" in detail["object_uri"]]

    wait_until(lambda: len(burst()) >= PHOTOS, seconds=150)
    assert Counter(detail["outcome"] for detail in burst()) == {"ACCEPTED": PHOTOS}
    assert any(was_throttled(cloud, detail["execution_arn"]) for detail in burst()), "the test shows nothing"


def was_throttled(cloud: LocalCloud, execution_arn: str) -> bool:
    pages = cloud.client("stepfunctions").get_paginator("get_execution_history")
    return any(
        event.get("taskFailedEventDetails", {}).get("error") == "EndpointBusy"
        for page in pages.paginate(executionArn=execution_arn)
        for event in page["events"]
    )
