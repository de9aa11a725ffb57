"""S3 as on AWS: events carry the object's version, what is answered is kept, and listed keys are encoded.

ministack keeps every version in memory although it has its file. It sends an object's event, writes its file,
and answers 200 whether it could or not: on a full disk, photos were classified and gone at the next start.
Here such an upload is refused, and has no event.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
"""

import shutil
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from ministack.services import s3

from localcloud.ministack.admission import EVENTS_AT_A_TIME, Admission
from localcloud.ministack.repairs import Repairs, during

REPAIRS: Final = Repairs()
NOT_KEPT: Final = (
    "InsufficientStorage",
    "The local cloud cannot keep this object: its disk is full, or cannot be written to.",
    507,
)
_ROOM: Final = 1 << 20
"""Bytes that stay free for what is recorded about an object."""
_ENCODED: Final = frozenset({"Delimiter", "Key", "KeyMarker", "NextKeyMarker", "Prefix"})

_deferred: ContextVar[list[Callable[[], None]] | None] = ContextVar("deferred", default=None)


def _encode_keys(root: Element, query: Any) -> Element:
    """Percent-encode the keys in an answer, and name the encoding in it, if that is asked for."""
    if s3._qp(query, "encoding-type", "") == "url":
        for element in root.iter():
            if element.tag in _ENCODED and element.text:
                element.text = quote(element.text, safe="/")
        SubElement(root, "EncodingType").text = "url"
    return root


_CHANGES: Final = {
    "_fire_s3_event": {
        '                    "event-version": "1.0",\n': "",
        '"sequencer": sequencer or "0"}': """"sequencer": sequencer or "0",
                               **({"version-id": version_id} if version_id else {})}""",
        'detail["deletion-type"]': """del detail["object"]["size"], detail["object"]["etag"]
                    detail["deletion-type"]""",
    },
    "_fire_s3_event_async": {"threading.Thread(\n": "_admission.thread(\n"},
    "_list_object_versions": {"_xml_body(root)": "_xml_body(_encode_keys(root, query_params))"},
    # What has its file needs no copy in memory.
    "_persist_object": {
        'obj["body"] = None': """obj["body"] = None
            for version in _object_versions.get((bucket, key), ()):
                if version["version_id"] == obj.get("version_id"):
                    version["data"] = None"""
    },
}
REPAIRS.rewrite(s3, _CHANGES, _encode_keys, _admission=Admission(EVENTS_AT_A_TIME, EVENTS_AT_A_TIME))


@REPAIRS.step
def _make_folder() -> None:
    Path(s3.DATA_DIR).mkdir(parents=True, exist_ok=True)


@REPAIRS.around(s3, "_fire_s3_event_async", "bucket_name", "key")
def _fire_later(fire: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    later = _deferred.get()
    if later is None:
        fire(*args, **kwargs)
    else:
        later.append(partial(fire, *args, **kwargs))


@REPAIRS.around(s3, "_put_object", "bucket_name", "key", "body")
@REPAIRS.around(s3, "_copy_object", "bucket_name", "dest_key")
@REPAIRS.around(s3, "_complete_multipart_upload", "bucket_name", "key")
def _store_or_refuse(store: Callable[..., Any], bucket: str, key: str, *args: Any, **kwargs: Any) -> Any:
    """Refuse an object that cannot be written to the disk, and send no event of it."""
    if shutil.disk_usage(s3.DATA_DIR).free < 2 * len(args[0]) + _ROOM:  # its body, or headers
        return s3._error(*NOT_KEPT)
    objects = s3._buckets.get(bucket, {}).get("objects", {})
    before = objects.get(key)
    versions = list(s3._object_versions.get((bucket, key), ()))
    events: list[Callable[[], None]] = []
    with during(_deferred, events):
        answer = store(bucket, key, *args, **kwargs)
    if s3.S3_PERSIST and events and objects[key].get("body") is not None:  # not in memory only
        s3._object_versions[bucket, key] = versions
        objects[key] = before
        if before is None:
            del objects[key]
            s3._delete_persisted_object(bucket, key)
        return s3._error(*NOT_KEPT)
    for fire in events:
        fire()
    return answer
