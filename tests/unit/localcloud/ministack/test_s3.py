"""S3's objects are on the disk, and not in memory too; their events have what AWS's have."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ministack.services import eventbridge
from ministack.services import s3 as service

from localcloud.ministack import s3


@pytest.fixture(autouse=True)
def _kept(repair: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(service, "S3_PERSIST", True)
    monkeypatch.setattr(service, "DATA_DIR", str(tmp_path))
    repair(s3.REPAIRS, service)


def test_versions_are_read_from_the_disk() -> None:
    service._create_bucket("photos", b"", {})  # noqa: SLF001
    service._bucket_versioning["photos"] = "Enabled"  # noqa: SLF001
    made = [service._put_object("photos", "a.jpg", body, {})[1] for body in (b"first", b"second")]  # noqa: SLF001
    names = [headers["x-amz-version-id"] for headers in made]

    def body(query: dict[str, str]) -> bytes:
        return bytes(service._get_object("photos", "a.jpg", {}, query)[2])  # noqa: SLF001

    assert [body({"versionId": name}) for name in names] == [b"first", b"second"]
    assert body({}) == b"second"
    assert [one["data"] for one in service._object_versions["photos", "a.jpg"]] == [None, None]  # noqa: SLF001
    service._delete_object_version(service._buckets["photos"], "photos", "a.jpg", names[1])  # noqa: SLF001
    assert body({}) == b"first"


@pytest.mark.parametrize(
    ("name", "version", "found"),
    [
        ("ObjectCreated:Put", "v1", {"size": 1, "etag": "e", "version-id": "v1"}),
        ("ObjectCreated:Put", None, {"size": 1, "etag": "e"}),
        ("ObjectRemoved:Delete", "v1", {"version-id": "v1"}),
    ],
)
def test_an_event_has_the_objects_version(
    monkeypatch: pytest.MonkeyPatch, name: str, version: str | None, found: dict[str, Any]
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(eventbridge, "_dispatch_event", sent.append)
    monkeypatch.setitem(service._bucket_notifications, "events", "<EventBridgeConfiguration/>")  # noqa: SLF001
    service._create_bucket("events", b"", {})  # noqa: SLF001
    service._fire_s3_event("events", "a b", f"s3:{name}", 1, "e", version_id=version)  # noqa: SLF001
    detail = json.loads(sent[0]["Detail"])
    assert detail["object"] == {"key": "a b", "sequencer": "0", **found}
    assert "event-version" not in detail
