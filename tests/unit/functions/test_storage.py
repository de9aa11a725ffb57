"""SerializeImage's S3 access: which object is requested, and which response becomes which error."""

import io
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from tests.support.sam_app import CLOUD, load_function

function = load_function("serialize_image")
errors = function.errors
read_object = function.storage.read_object
ObjectReference = function.storage.ObjectReference

PHOTO = ObjectReference("photos", "incoming/a.jpg")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in CLOUD.items():
        monkeypatch.setenv(name, value)
    with Stubber(boto3.client("s3")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def answer(content: bytes = b"photo", **more: Any) -> dict[str, Any]:
    body = StreamingBody(io.BytesIO(content), len(content))
    return {"Body": body, "ContentLength": len(content), **more}


def test_the_object_is_read_as_named(s3: Any) -> None:
    key = "incoming/a+b %41 \"ü'.jpg"
    s3.add_response("get_object", answer(ETag='"e7a9"', VersionId="v7"), {"Bucket": "photos", "Key": key})
    stored, body = read_object(s3.client, ObjectReference("photos", key), 100)
    assert (body, stored.version_id, stored.etag) == (b"photo", "v7", "e7a9")


@pytest.mark.parametrize("etag", ["e7a9", '"e7a9"'])
def test_version_and_etag_are_requested(s3: Any, etag: str) -> None:
    request = {"Bucket": "photos", "Key": "incoming/a.jpg", "VersionId": "v7", "IfMatch": '"e7a9"'}
    s3.add_response("get_object", answer(), request)
    stored, _ = read_object(s3.client, PHOTO._replace(version_id="v7", etag=etag), 100)
    assert stored.version_id == "v7"


def test_exactly_the_limit_is_read_and_a_larger_body_is_not(s3: Any) -> None:
    s3.add_response("get_object", answer(b"x" * 100))
    assert len(read_object(s3.client, PHOTO, 100)[1]) == 100
    body = StreamingBody(Mock(read=Mock(side_effect=AssertionError("the body was read"))), 101)
    s3.add_response("get_object", {"Body": body, "ContentLength": 101})
    with pytest.raises(errors.ObjectTooLarge, match=r"a\.jpg has 101 bytes, more than the limit of 100"):
        read_object(s3.client, PHOTO, 100)


DENIED = "User: arn:aws:sts::111122223333:assumed-role/r is not authorized to perform: kms:Decrypt"
CODES = {
    "NoSuchKey": (404, errors.ObjectNotFound, "does not exist"),
    "NoSuchBucket": (404, errors.ObjectNotFound, "bucket does not exist"),
    "NoSuchVersion": (404, errors.ObjectNotFound, "version of it does not exist"),
    "MethodNotAllowed": (405, errors.ObjectNotFound, "delete marker"),
    "InvalidArgument": (400, errors.ObjectNotFound, "version id"),
    "PreconditionFailed": (412, errors.ObjectNotFound, "changed"),
    "KeyTooLongError": (400, errors.ObjectNotFound, "too long"),
    "AccessDenied": (403, errors.ObjectNotReadable, DENIED),
    "InvalidObjectState": (403, errors.ObjectNotReadable, DENIED),  # archived
    "InvalidRequest": (400, errors.ObjectNotReadable, DENIED),  # encrypted with a key of the uploader's
    "KMS.DisabledException": (400, errors.ObjectNotReadable, DENIED),
    "KMS.NotFoundException": (400, errors.ObjectNotReadable, DENIED),
    "SlowDown": (503, errors.StorageUnavailable, "SlowDown"),
    "InternalError": (500, errors.StorageUnavailable, "InternalError"),
    "RequestTimeout": (400, errors.StorageUnavailable, "RequestTimeout"),
    "ExpiredToken": (400, errors.StorageUnavailable, "ExpiredToken"),
    "X": (599, errors.StorageUnavailable, "X"),
}


@pytest.mark.parametrize("code", CODES)
def test_each_answer_of_s3_is_an_error_of_its_kind(s3: Any, code: str) -> None:
    status, error, why = CODES[code]
    s3.add_client_error("get_object", code, DENIED, http_status_code=status)
    with pytest.raises(error, match=rf"s3://photos/incoming/a\.jpg.*{why}"):
        read_object(s3.client, PHOTO, 100)


@pytest.mark.parametrize("kind", [EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError])
@pytest.mark.parametrize("in_body", [False, True])
def test_connection_errors_are_unavailable(kind: Any, *, in_body: bool) -> None:
    fail = Mock(side_effect=kind(endpoint_url="https://s3"))
    broken = {"Body": StreamingBody(Mock(read=fail), 5), "ContentLength": 5}
    client = Mock(get_object=Mock(return_value=broken) if in_body else fail)
    with pytest.raises(errors.StorageUnavailable):
        read_object(client, PHOTO, 100)


def test_a_body_that_ends_early_is_unavailable(s3: Any) -> None:
    body = StreamingBody(io.BytesIO(b"pho"), 5)
    s3.add_response("get_object", {"Body": body, "ContentLength": 5})
    with pytest.raises(errors.StorageUnavailable, match="closed the connection early"):
        read_object(s3.client, PHOTO, 100)


def test_an_impossible_bucket_name_is_not_found() -> None:
    # botocore refuses it before anything is sent.
    with pytest.raises(errors.ObjectNotFound, match="invalid name"):
        read_object(function.app.S3, ObjectReference("not a bucket!", "a"), 100)


def test_the_reference_takes_the_workflows_input() -> None:
    event = {"image_data": "", "s3_bucket": "b", "s3_key": "k", "version_id": "", "etag": None, "more": 1}
    assert ObjectReference.from_event(event) == ObjectReference("b", "k", None, None)
    event |= {"version_id": "v", "etag": "e"}
    assert ObjectReference.from_event(event) == ObjectReference("b", "k", "v", "e")


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({}, "s3_bucket"),
        ({"s3_bucket": "b"}, "s3_key"),
        ({"s3_bucket": "b", "s3_key": ""}, "s3_key"),
        ({"s3_bucket": ["b"], "s3_key": "k"}, "s3_bucket"),
        ({"s3_bucket": "b", "s3_key": "k", "version_id": 7}, "version_id"),
        ({"s3_bucket": "b", "s3_key": "k", "etag": {"a": 1}}, "etag"),
    ],
)
def test_an_input_without_an_object_is_not_found(event: dict[str, Any], name: str) -> None:
    with pytest.raises(errors.ObjectNotFound, match=name):
        ObjectReference.from_event(event)
