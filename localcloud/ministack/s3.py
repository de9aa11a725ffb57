"""S3 as on AWS: events carry the object's version, what is answered is kept, and listed keys are encoded.

ministack knows the version and leaves it out of what it sends to EventBridge; results are recorded by
version. It encodes the keys of ListObjects and ListObjectsV2 (`encoding-type=url`, which boto3 always sends),
not those of ListObjectVersions: a key with a control character makes its XML invalid.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
It keeps every version in memory although it has its file.

It sends an object's event, writes its file, and answers 200 whether it could or not: on a full disk, photos
were classified and gone at the next start. Here such an upload is refused, and has no event.
"""

import functools
import json
import shutil
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from inspect import signature
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from localcloud.ministack.errors import during, expect, rewrite, wrap

NOT_KEPT: Final = (
    "InsufficientStorage",
    "The local cloud cannot keep this object: its disk is full, or cannot be written to.",
    507,
)
_ROOM: Final = 1 << 20
"""Bytes that stay free for what is recorded about an object."""
_ENCODED: Final = frozenset({"Delimiter", "Key", "KeyMarker", "NextKeyMarker", "Prefix"})


def with_version(event: dict[str, Any], version_id: str) -> dict[str, Any]:
    """Return an event of S3 with the object's version, as AWS sends it for a bucket with versions."""
    detail = json.loads(event["Detail"])
    detail["object"]["version-id"] = version_id
    return {**event, "Detail": json.dumps(detail)}


def encode_keys(root: Element) -> None:
    """Percent-encode the keys in an answer, and name the encoding in it."""
    for element in root.iter():
        if element.tag in _ENCODED and element.text:
            element.text = quote(element.text, safe="/")
    SubElement(root, "EncodingType").text = "url"


def on_disk_only(
    persist: Callable[[str, str, Any], None], versions: Mapping[tuple[str, str], list[dict[str, Any]]]
) -> Callable[[str, str, Any], None]:
    """Return a function that writes an object's file and then keeps no copy of its version in memory."""

    def persist_and_forget(bucket: str, key: str, obj: Any) -> None:
        persist(bucket, key, obj)
        if isinstance(obj, dict) and obj.get("body") is None:  # else it could not be written
            for version in versions.get((bucket, key), ()):
                if version["version_id"] == obj.get("version_id"):
                    version["data"] = None

    return persist_and_forget


def _forget(s3: Any, bucket: str, key: str) -> None:
    del s3._buckets[bucket]["objects"][key]
    s3._delete_persisted_object(bucket, key)


def _refuse_what_is_not_kept(s3: Any) -> None:
    """Refuse an object that cannot be written to the disk, and send no event of it."""
    deferred: ContextVar[list[Callable[[], None]] | None] = ContextVar("deferred", default=None)

    def deferring(fire: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(fire)
        def fire_later(*args: Any, **kwargs: Any) -> None:
            later = deferred.get()
            if later is None:
                fire(*args, **kwargs)
            else:
                later.append(lambda: fire(*args, **kwargs))

        return fire_later

    def refusing(store: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(store)
        def store_or_refuse(bucket_name: str, key: str, *args: Any, **kwargs: Any) -> Any:
            if shutil.disk_usage(s3.DATA_DIR).free < 2 * len(args[0]) + _ROOM:  # its body, or headers
                return s3._error(*NOT_KEPT)
            objects = s3._buckets.get(bucket_name, {}).get("objects", {})
            before = objects.get(key)
            versions = list(s3._object_versions.get((bucket_name, key), ()))
            events: list[Callable[[], None]] = []
            with during(deferred, events):
                answer = store(bucket_name, key, *args, **kwargs)
            if s3.S3_PERSIST and events and objects[key].get("body") is not None:  # not in memory only
                s3._object_versions[bucket_name, key] = versions
                objects[key] = before
                if before is None:
                    _forget(s3, bucket_name, key)
                return s3._error(*NOT_KEPT)
            for fire in events:
                fire()
            return answer

        return store_or_refuse

    Path(s3.DATA_DIR).mkdir(parents=True, exist_ok=True)
    wrap(s3, "_fire_s3_event_async", ("bucket_name", "key"), deferring)
    wrap(s3, "_put_object", ("bucket_name", "key", "body"), refusing)
    wrap(s3, "_copy_object", ("bucket_name", "dest_key"), refusing)
    wrap(s3, "_complete_multipart_upload", ("bucket_name", "key"), refusing)


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import eventbridge, s3

    version: ContextVar[str | None] = ContextVar("version", default=None)
    encoded: ContextVar[bool] = ContextVar("encoded", default=False)

    def remembering_version(fire: Callable[..., None]) -> Callable[..., None]:
        def fire_event(*args: Any, version_id: Any = None, **kwargs: Any) -> None:
            with during(version, version_id):
                fire(*args, version_id=version_id, **kwargs)

        return fire_event

    def adding_version(dispatch: Callable[..., Any]) -> Callable[..., Any]:
        def dispatch_event(event: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
            known = version.get() if event.get("Source") == "aws.s3" else None
            return dispatch(with_version(event, known) if known else event, *args, **kwargs)

        return dispatch_event

    def remembering_encoding(listed: Callable[..., Any]) -> Callable[..., Any]:
        def list_versions(bucket_name: str, query_params: Any) -> Any:
            with during(encoded, s3._qp(query_params, "encoding-type", "") == "url"):
                return listed(bucket_name, query_params)

        return list_versions

    def encoding(body: Callable[[Element], bytes]) -> Callable[[Element], bytes]:
        def xml_body(root: Element) -> bytes:
            if encoded.get():
                encode_keys(root)
            return body(root)

        return xml_body

    without_size = 'del detail["object"]["size"], detail["object"]["etag"]'
    event = {
        '                    "event-version": "1.0",\n': "",
        'detail["deletion-type"]': f'{without_size}; detail["deletion-type"]',
    }
    rewrite(s3, {"_fire_s3_event": event})
    _refuse_what_is_not_kept(s3)
    expect("version_id" in signature(s3._fire_s3_event).parameters, "S3's events know no version")
    wrap(s3, "_fire_s3_event", ("bucket_name", "key"), remembering_version)
    wrap(eventbridge, "_dispatch_event", ("event",), adding_version)
    wrap(s3, "_list_object_versions", ("bucket_name", "query_params"), remembering_encoding)
    wrap(s3, "_xml_body", ("root",), encoding)
    wrap(s3, "_persist_object", ("bucket", "key", "obj"), lambda one: on_disk_only(one, s3._object_versions))
