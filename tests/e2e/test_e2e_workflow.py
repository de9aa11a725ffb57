"""From upload to outcome through the deployed application: one outcome per photo, the same everywhere."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from localcloud.application import ENDPOINT_NAME, MODEL_BUCKET
from tests.support.local_cloud import Listener, LocalCloud, wait_until
from tests.support.photo_files import encode
from tests.support.tiny_model import COLOURS


def photo(colour: tuple[int, int, int], kind: str = "JPEG") -> bytes:
    return encode(Image.new("RGB", (300, 300), colour), kind)


RED = photo(COLOURS["red"])
GREEN = photo(COLOURS["green"], kind="PNG")
BETWEEN = photo((125, 115, 30))
FORMATS = ("HEIF", "AVIF", "TIFF")


def only_outcome(cloud: LocalCloud, published: Listener, key: str) -> dict[str, Any]:
    """Return the one outcome of a photo, after checking that record, event and execution agree."""
    (execution,) = cloud.executions(key)
    (record,) = cloud.records(key)
    (event,) = [
        e["detail"] for e in published.messages() if e["detail"]["object_uri"] == record["object_uri"]
    ]
    for name in ("object_version", "outcome", "label", "error", "execution_arn"):
        assert record.get(name) == event.get(name), name
    assert record.get("confidence") == pytest.approx(event.get("confidence"))
    assert record["execution_arn"] == execution["executionArn"]
    assert execution["status"] == ("SUCCEEDED" if record["outcome"] == "ACCEPTED" else "FAILED")
    assert execution.get("error") == record.get("error")
    return record | {"execution": execution}


@pytest.mark.parametrize(
    ("key", "body", "label"),
    [
        ("clear/red.img", RED, "bicycle"),
        ("clear/green.img", GREEN, "motorcycle"),
        *((f"formats/{kind}.jpg", photo(COLOURS["red"], kind=kind), "bicycle") for kind in FORMATS),
    ],
)
def test_a_clear_photo_is_accepted_whatever_its_name_ends_in(
    cloud: LocalCloud, published: Listener, key: str, body: bytes, label: str
) -> None:
    version = cloud.upload(f"incoming/{key}", body)

    outcome = only_outcome(cloud, published, f"incoming/{key}")

    assert (outcome["outcome"], outcome["label"], outcome["object_version"]) == ("ACCEPTED", label, version)
    assert outcome.get("error") is None
    assert outcome["confidence"] >= outcome["threshold"]
    output = json.loads(outcome["execution"]["output"])
    assert output["label"] == label
    assert sum(output["inferences"]) == pytest.approx(1)
    assert output["model_version"] == outcome["model_version"]
    assert str(outcome["model_version"]).startswith(ENDPOINT_NAME)
    assert "image_data" not in output


def test_a_doubtful_photo_is_sent_to_review(cloud: LocalCloud, published: Listener) -> None:
    key = "incoming/doubtful.jpg"
    cloud.upload(key, BETWEEN)
    outcome = only_outcome(cloud, published, key)
    assert outcome["outcome"] == "LOW_CONFIDENCE"
    assert outcome["error"] == "THRESHOLD_CONFIDENCE_NOT_MET"
    assert outcome["confidence"] < outcome["threshold"]
    requests = Listener(cloud, cloud.outputs["ReviewQueueUrl"]).messages()
    assert [r["object_uri"] for r in requests].count(outcome["object_uri"]) == 1


def run(cloud: LocalCloud, workflow_input: dict[str, Any]) -> dict[str, Any]:
    """Start the workflow by hand; return the execution's description once it has ended."""
    workflow, machine = cloud.client("stepfunctions"), cloud.outputs["ClassifyImageStateMachineArn"]
    arn = workflow.start_execution(stateMachineArn=machine, input=json.dumps(workflow_input))["executionArn"]
    wait_until(lambda: workflow.describe_execution(executionArn=arn)["status"] != "RUNNING")
    return dict(workflow.describe_execution(executionArn=arn))


def events_about(published: Listener, record: dict[str, Any]) -> list[dict[str, Any]]:
    details = [event["detail"] for event in published.messages()]
    return [detail for detail in details if detail["object_uri"] == record["object_uri"]]


def test_a_direct_start_of_a_new_object_is_recorded(cloud: LocalCloud, published: Listener) -> None:
    """The input that people type by hand, for an object whose upload started nothing."""
    bucket, key = cloud.outputs["PhotoBucketName"], "elsewhere/direct.jpg"
    version = cloud.upload(key, RED)
    execution = run(cloud, {"image_data": "", "s3_bucket": bucket, "s3_key": key})
    assert execution["status"] == "SUCCEEDED"
    (record,) = cloud.records(key)
    assert (record["object_version"], record["outcome"]) == (version, "ACCEPTED")
    assert len(events_about(published, record)) == 1


@pytest.mark.parametrize(
    ("name", "body", "outcome"),
    [("red", RED, "ACCEPTED"), ("between", BETWEEN, "LOW_CONFIDENCE"), ("text", b"text", "REJECTED")],
)
def test_a_duplicate_changes_nothing_and_a_reclassification_replaces(
    cloud: LocalCloud, published: Listener, name: str, body: bytes, outcome: str
) -> None:
    key = f"incoming/twice/{name}.jpg"
    cloud.upload(key, body)
    first = only_outcome(cloud, published, key)
    assert first["outcome"] == outcome
    given = json.loads(first["execution"]["input"])

    duplicate = run(cloud, given)

    assert cloud.records(key) == [{k: v for k, v in first.items() if k != "execution"}]
    assert (duplicate["status"], duplicate.get("error")) == (first["execution"]["status"], first.get("error"))
    if outcome == "ACCEPTED":
        assert json.loads(duplicate["output"])["already_recorded"] is True
    else:
        assert "already recorded" in duplicate["cause"]
    assert len(events_about(published, first)) == 1

    photo = {"s3_bucket": given["detail"]["bucket"]["name"], "s3_key": key, "reclassify": True}
    again = run(cloud, photo | {"version_id": first["object_version"]})
    (record,) = cloud.records(key)
    assert (record["execution_arn"], record["outcome"]) == (again["executionArn"], outcome)
    assert len(events_about(published, first)) == 2


def test_a_persons_decision_is_never_replaced(cloud: LocalCloud, published: Listener) -> None:
    key = "incoming/decided.jpg"
    cloud.upload(key, BETWEEN)
    first = only_outcome(cloud, published, key)
    cloud.client("dynamodb").update_item(  # as the review desk does
        TableName=cloud.outputs["ResultsTableName"],
        Key={name: {"S": first[name]} for name in ("object_uri", "object_version")},
        UpdateExpression="SET outcome = :outcome, decided_by = :person",
        ExpressionAttributeValues={":outcome": {"S": "ACCEPTED"}, ":person": {"S": "alex"}},
    )
    photo = {"s3_bucket": cloud.outputs["PhotoBucketName"], "s3_key": key, "reclassify": True}
    run(cloud, photo)
    (record,) = cloud.records(key)
    assert (record["outcome"], record["decided_by"]) == ("ACCEPTED", "alex")
    assert len(events_about(published, first)) == 1


def test_a_new_photo_under_an_old_key_has_its_own_outcome(cloud: LocalCloud, published: Listener) -> None:
    key = "incoming/new-version.jpg"
    first = cloud.upload(key, RED)
    only_outcome(cloud, published, key)
    second = cloud.upload(key, b"no picture any more")
    wait_until(lambda: len(cloud.records(key)) == 2)
    recorded = {record["object_version"]: record["outcome"] for record in cloud.records(key)}
    assert recorded == {first: "ACCEPTED", second: "REJECTED"}


def test_what_the_endpoint_saw_is_captured(cloud: LocalCloud) -> None:
    key = "incoming/captured.jpg"
    cloud.upload(key, RED)
    cloud.executions(key)
    # Other tests' photos are captured too: this one is red all over.
    wait_until(lambda: any(map(_is_red, _captured(cloud))))
    seen = list(filter(_is_red, _captured(cloud)))
    assert {one["endpointInput"]["observedContentType"] for one in seen} <= {"image/jpeg", "image/png"}
    assert json.loads(seen[-1]["endpointOutput"]["data"])[0] == pytest.approx(1, abs=0.2)


def _captured(cloud: LocalCloud) -> list[dict[str, Any]]:
    """Return the captured requests and responses, each as SageMaker writes it."""
    s3 = cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=MODEL_BUCKET)
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    bodies = [
        s3.get_object(Bucket=MODEL_BUCKET, Key=key)["Body"].read().decode()
        for key in keys
        if f"{ENDPOINT_NAME}/AllTraffic/" in key
    ]
    return [json.loads(line)["captureData"] for body in bodies for line in body.splitlines()]


def _is_red(exchange: dict[str, Any]) -> bool:
    image = Image.open(io.BytesIO(base64.b64decode(exchange["endpointInput"]["data"]))).convert("RGB")
    red, green, blue = image.resize((1, 1)).tobytes()
    return red > COLOURS["red"][0] - 20 and max(green, blue) < COLOURS["red"][1] + 20
