"""`operations redrive` on the deployed application: photos that nobody heard of, and doubtful ones."""

import time

import pytest

from tests.e2e.conftest import report
from tests.e2e.test_e2e_workflow import BETWEEN, RED
from tests.support.local_cloud import Listener, LocalCloud, wait_until


@pytest.mark.usefixtures("without_rule")
def test_photos_that_nothing_was_told_of_are_started(cloud: LocalCloud, published: Listener) -> None:
    keys = [f"incoming/untold/{number}.jpg" for number in range(3)]
    for key in keys:
        cloud.upload(key, RED)
    time.sleep(2)

    status, lines = report(cloud, "redrive", "--rate", "50", "--missing", "--older-than", "1s")

    bucket = cloud.outputs["PhotoBucketName"]
    mine = {line["photo"]: line["outcome"] for line in lines[:-1] if "/untold/" in line["photo"]}
    assert mine == {f"s3://{bucket}/{key}": "ACCEPTED" for key in keys}
    assert status == 0
    assert [record["outcome"] for key in keys for record in cloud.records(key)] == ["ACCEPTED"] * 3
    uris = [event["detail"]["object_uri"] for event in published.messages()]
    assert all(uris.count(uri) == 1 for uri in mine)
    assert report(cloud, "redrive", "--rate", "50", "--missing", "--older-than", "1s")[1] == [
        {"summary": lines[-1]["summary"] | {"photos": 0, "ACCEPTED": 0, "seconds": pytest.approx(0, abs=60)}}
    ]


def test_a_photo_that_stays_doubtful_has_one_review_message(cloud: LocalCloud) -> None:
    key, url = "incoming/doubtful/again.jpg", cloud.outputs["ReviewQueueUrl"]
    cloud.upload(key, BETWEEN)
    cloud.executions(key)
    status, _ = report(cloud, "redrive", "--rate", "50", "--outcome", "LOW_CONFIDENCE", "--since", "1h")
    assert status == 0
    wait_until(lambda: cloud.records(key)[0].get("in_review") and "undelivered" not in cloud.records(key)[0])
    time.sleep(1)  # for a second message
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 5}
    bodies: list[str] = []
    while found := cloud.client("sqs").receive_message(**request).get("Messages"):
        bodies += [one["Body"] for one in found]
    assert [key in body for body in bodies].count(True) == 1
