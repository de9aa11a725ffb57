"""`operations redrive` on the deployed application: photos that nobody heard of, and doubtful ones."""

import json
import time
from typing import Any

import pytest

from operations.__main__ import main
from tests.e2e.test_e2e_workflow import BETWEEN, RED
from tests.support.local_cloud import Listener, LocalCloud, environment_of, wait_until


def redrive(cloud: LocalCloud, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[Any]]:
    capsys.readouterr()
    with environment_of(cloud.running):
        status = main(["redrive", "--rate", "50", "--json", *options])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("without_rule")
def test_photos_that_nothing_was_told_of_are_started(
    cloud: LocalCloud, published: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = [f"incoming/untold/{number}.jpg" for number in range(3)]
    for key in keys:
        cloud.upload(key, RED)
    time.sleep(2)

    status, lines = redrive(cloud, capsys, "--missing", "--older-than", "1s")

    bucket = cloud.outputs["PhotoBucketName"]
    mine = {line["photo"]: line["outcome"] for line in lines[:-1] if "/untold/" in line["photo"]}
    assert mine == {f"s3://{bucket}/{key}": "ACCEPTED" for key in keys}
    assert status == 0
    assert [record["outcome"] for key in keys for record in cloud.records(key)] == ["ACCEPTED"] * 3
    uris = [event["detail"]["object_uri"] for event in published.messages()]
    assert all(uris.count(uri) == 1 for uri in mine)
    assert redrive(cloud, capsys, "--missing", "--older-than", "1s")[1] == [
        {"summary": lines[-1]["summary"] | {"photos": 0, "ACCEPTED": 0, "seconds": pytest.approx(0, abs=60)}}
    ]


def test_a_photo_that_stays_doubtful_has_one_review_message(
    cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    key, url = "incoming/doubtful/again.jpg", cloud.outputs["ReviewQueueUrl"]
    cloud.upload(key, BETWEEN)
    cloud.executions(key)
    status, _ = redrive(cloud, capsys, "--outcome", "LOW_CONFIDENCE", "--since", "1h")
    assert status == 0
    wait_until(lambda: cloud.records(key)[0].get("in_review") and "undelivered" not in cloud.records(key)[0])
    time.sleep(1)  # for a second message
    request = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 5}
    bodies: list[str] = []
    while found := cloud.client("sqs").receive_message(**request).get("Messages"):
        bodies += [one["Body"] for one in found]
    assert [key in body for body in bodies].count(True) == 1
