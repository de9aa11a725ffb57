"""SerializeImage against an S3 in this process: versions, changed objects, awkward keys, payloads."""

import base64
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from PIL import Image

from model_build.data.samples import write_samples
from tests.support.sam_app import CLOUD, event, expected, load_function
from tests.support.sample_answers import differences

BUCKET = "scones-photos"
AWKWARD_KEYS = [
    "incoming/with space.jpg",
    "incoming/a+b.jpg",
    "incoming/%41.jpg",
    'incoming/l\'été "50%" \\ 車 🚲.jpg',
    "incoming/deep/er/and/deeper.jpg",
    "incoming/?x=1&y=2#z.jpg",
]


@pytest.fixture
def s3() -> Iterator[Any]:
    with patch.dict(os.environ, CLOUD), mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def function(s3: Any) -> Any:  # noqa: ARG001 - the client inside must be made while S3 is simulated
    return load_function("serialize_image")


def photo(colour: str, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, "PNG")
    return buffer.getvalue()


def colour_of(answer: dict[str, Any]) -> tuple[int, ...]:
    image = Image.open(io.BytesIO(base64.b64decode(answer["image_data"])))
    pixel = image.getpixel((1, 1))
    assert isinstance(pixel, tuple)
    return pixel


def reference(key: str, **more: str) -> dict[str, str]:
    return {"s3_bucket": BUCKET, "s3_key": key, **more}


@pytest.mark.parametrize("key", AWKWARD_KEYS)
def test_keys_are_taken_as_they_are(s3: Any, function: Any, key: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=key, Body=photo("red"))
    answer = function.app.lambda_handler(reference(key), None)
    assert answer["s3_key"] == key
    assert colour_of(answer) == (255, 0, 0)


def test_the_version_of_the_event_is_read_even_if_a_newer_one_is_there(s3: Any, function: Any) -> None:
    old = s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=photo("red"))
    new = s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=photo("blue"))
    answer = function.app.lambda_handler(
        reference("incoming/a.png", version_id=old["VersionId"], etag=old["ETag"].strip('"')), None
    )
    assert colour_of(answer) == (255, 0, 0)
    assert answer["version_id"] == old["VersionId"]
    latest = function.app.lambda_handler(reference("incoming/a.png"), None)
    assert colour_of(latest) == (0, 0, 255)
    assert (latest["version_id"], latest["etag"]) == (new["VersionId"], new["ETag"].strip('"'))


def test_an_object_that_changed_since_the_event_is_not_read(s3: Any, function: Any) -> None:
    old = s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=photo("red"))
    s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=photo("blue"))
    with pytest.raises(function.errors.ObjectNotFound, match="changed"):
        function.app.lambda_handler(reference("incoming/a.png", etag=old["ETag"].strip('"')), None)


def test_an_object_that_was_deleted_is_not_found(s3: Any, function: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="incoming/a.png", Body=photo("red"))
    marker = s3.delete_object(Bucket=BUCKET, Key="incoming/a.png")["VersionId"]
    for event_ in (reference("incoming/a.png"), reference("incoming/a.png", version_id=marker)):
        with pytest.raises(function.errors.ObjectNotFound, match=r"incoming/a\.png"):
            function.app.lambda_handler(event_, None)


@pytest.fixture
def samples(s3: Any, tmp_path: Path) -> None:
    for path in write_samples(tmp_path):
        s3.put_object(Bucket=BUCKET, Key=f"incoming/samples/{path.name}", Body=path.read_bytes())


@pytest.mark.usefixtures("samples")
def test_sample_events_are_answered_as_expected(function: Any) -> None:
    found = {}
    for name in expected("serialize_image/"):
        try:
            answer = json.loads(json.dumps(function.app.lambda_handler(event(name), None)))
        except Exception as exc:  # noqa: BLE001 - Lambda reports whatever is raised
            answer = {"errorType": type(exc).__name__, "errorMessage": str(exc)}
        assert len(json.dumps(answer)) < 100_000, name
        if wrong := differences(name, answer):
            found[name] = wrong
    assert not found
