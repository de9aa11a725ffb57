"""From upload to outcome through the deployed application: one outcome a photo, the same everywhere."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.local_cloud import Listener, LocalCloud, wait_until
from tests.support.tiny_model import COLOURS

STEP_LIMIT = 100_000
"""Bytes of JSON between two states: AWS refuses 262,144."""


def photo(colour: tuple[int, int, int], side: int = 300, kind: str = "JPEG") -> bytes:
    """Return an encoded picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


RED = photo(COLOURS["red"])
GREEN = photo(COLOURS["green"], kind="PNG")
BETWEEN = photo((125, 115, 30))


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


@pytest.mark.parametrize(("colour", "label"), [("red", "bicycle"), ("green", "motorcycle")])
def test_a_clear_photo_is_accepted(cloud: LocalCloud, published: Listener, colour: str, label: str) -> None:
    key = f"incoming/clear/{colour}.img"
    version = cloud.upload(key, {"red": RED, "green": GREEN}[colour])

    outcome = only_outcome(cloud, published, key)

    assert (outcome["outcome"], outcome["label"], outcome["object_version"]) == ("ACCEPTED", label, version)
    assert outcome["confidence"] >= outcome["threshold"]
    output = json.loads(outcome["execution"]["output"])
    assert output["label"] == label
    assert sum(output["inferences"]) == pytest.approx(1)
    assert "image_data" not in output


def test_a_doubtful_photo_goes_to_a_person(cloud: LocalCloud, published: Listener) -> None:
    key = "incoming/doubtful.jpg"
    cloud.upload(key, BETWEEN)

    outcome = only_outcome(cloud, published, key)

    assert outcome["outcome"] == "LOW_CONFIDENCE"
    assert outcome["error"] == "THRESHOLD_CONFIDENCE_NOT_MET"
    assert outcome["confidence"] < outcome["threshold"]
    requests = Listener(cloud, cloud.outputs["ReviewQueueUrl"]).messages()
    assert [r["object_uri"] for r in requests].count(outcome["object_uri"]) == 1


@pytest.mark.parametrize(
    ("name", "body", "error"),
    [
        ("empty.jpg", b"", "UnsupportedImage"),
        ("text.png", b"not a picture\n" * 50, "UnsupportedImage"),
        ("truncated.jpg", photo((10, 200, 90), 900)[:1500], "UnsupportedImage"),
    ],
)
def test_what_is_no_photo_is_rejected(
    cloud: LocalCloud, published: Listener, name: str, body: bytes, error: str
) -> None:
    version = cloud.upload(f"incoming/broken/{name}", body)

    outcome = only_outcome(cloud, published, f"incoming/broken/{name}")

    assert (outcome["outcome"], outcome["error"]) == ("REJECTED", error)
    assert outcome["object_version"] == version
    assert outcome["cause"]


@pytest.mark.parametrize(
    "name",
    [
        "two words.jpg",
        "a+b.jpg",
        "100%41.jpg",
        'it\'s "quoted".jpg',
        "Fahrräder/überholt-自転車.jpg",
        "$.{%x%}.jpg",
    ],
)
def test_a_key_is_taken_as_it_is(cloud: LocalCloud, published: Listener, name: str) -> None:
    cloud.upload(f"incoming/names/{name}", RED)

    outcome = only_outcome(cloud, published, f"incoming/names/{name}")

    assert outcome["outcome"] == "ACCEPTED"
    assert outcome["object_uri"] == f"s3://{cloud.outputs['PhotoBucketName']}/incoming/names/{name}"


def test_a_phone_photo_stays_small_between_all_steps(cloud: LocalCloud, published: Listener) -> None:
    """12 megapixels of noise, which JPEG can't shrink, on a side as EXIF has it."""
    pixels = np.random.default_rng(1).integers(0, 255, (3000, 4000, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=80, exif=exif)
    key = "incoming/phone.jpg"
    cloud.upload(key, file.getvalue())

    outcome = only_outcome(cloud, published, key)

    steps = cloud.steps(outcome["execution_arn"])
    assert {"SerializeImage", "ClassifyImage", "FilterInference"} <= {name for _, name, _ in steps}
    assert [(way, name) for way, name, text in steps if len(text.encode()) >= STEP_LIMIT] == []
    assert any('"image_data"' in text for _, _, text in steps), "the image travels in none of these"


def test_a_direct_start_is_recorded_like_an_upload(cloud: LocalCloud, published: Listener) -> None:
    """The input that people type who know the workflow from its first version."""
    bucket, key = cloud.outputs["PhotoBucketName"], "incoming/direct.jpg"
    cloud.upload(key, RED)
    first = only_outcome(cloud, published, key)

    cloud.client("stepfunctions").start_execution(
        stateMachineArn=cloud.outputs["ClassifyImageStateMachineArn"],
        input=json.dumps({"image_data": "", "s3_bucket": bucket, "s3_key": key}),
    )

    assert [e["status"] for e in _two_executions(cloud, key)] == ["SUCCEEDED", "SUCCEEDED"]
    (record,) = cloud.records(key)
    assert record["object_version"] == first["object_version"]
    assert record["outcome"] == "ACCEPTED"


def test_a_duplicate_event_overwrites_itself_and_a_new_version_does_not(
    cloud: LocalCloud, published: Listener
) -> None:
    key = "incoming/twice.jpg"
    first = cloud.upload(key, RED)
    outcome = only_outcome(cloud, published, key)

    cloud.client("stepfunctions").start_execution(
        stateMachineArn=cloud.outputs["ClassifyImageStateMachineArn"], input=outcome["execution"]["input"]
    )
    _two_executions(cloud, key)
    (again,) = cloud.records(key)
    assert again["object_version"] == first
    assert again["execution_arn"] != outcome["execution_arn"]

    second = cloud.upload(key, b"no picture any more")
    wait_until(lambda: len(cloud.records(key)) == 2)
    recorded = {record["object_version"]: record["outcome"] for record in cloud.records(key)}
    assert recorded == {first: "ACCEPTED", second: "REJECTED"}


def test_objects_elsewhere_in_the_bucket_start_nothing(cloud: LocalCloud, published: Listener) -> None:
    cloud.upload("outgoing/ignored.jpg", RED)
    cloud.upload("incoming/after-ignored.jpg", RED)
    only_outcome(cloud, published, "incoming/after-ignored.jpg")

    assert cloud.records("outgoing/ignored.jpg") == []
    told = [event["detail"]["object_uri"] for event in published.messages()]
    assert not any("outgoing" in uri for uri in told)


def _two_executions(cloud: LocalCloud, key: str) -> list[dict[str, Any]]:
    wait_until(lambda: len(cloud.executions(key)) == 2)
    return cloud.executions(key)
