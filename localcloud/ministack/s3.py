"""S3 as on AWS: events carry the object's version, and keys of listed versions are encoded on demand.

ministack knows the version and leaves it out of what it sends to EventBridge; results are recorded by
version. It encodes the keys of ListObjects and ListObjectsV2 (`encoding-type=url`, which boto3 always sends),
not those of ListObjectVersions: a key with a control character makes its XML invalid.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
It keeps every version in memory although it has its file.
"""

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from inspect import signature
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from localcloud.ministack.errors import during, expect, rewrite, wrap

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


def apply() -> None:
    """Repair the imported ministack."""
    from ministack.services import eventbridge, s3  # type: ignore[import-untyped]  # noqa: PLC0415

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
            with during(encoded, s3._qp(query_params, "encoding-type", "") == "url"):  # noqa: SLF001
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
    expect("version_id" in signature(s3._fire_s3_event).parameters, "S3's events know no version")  # noqa: SLF001
    wrap(s3, "_fire_s3_event", ("bucket_name", "key"), remembering_version)
    wrap(eventbridge, "_dispatch_event", ("event",), adding_version)
    wrap(s3, "_list_object_versions", ("bucket_name", "query_params"), remembering_encoding)
    wrap(s3, "_xml_body", ("root",), encoding)
    wrap(s3, "_persist_object", ("bucket", "key", "obj"), lambda one: on_disk_only(one, s3._object_versions))  # noqa: SLF001
