"""S3's objects are on the disk, and not in memory too."""

from pathlib import Path

import pytest

from localcloud.ministack.s3 import on_disk_only


def test_versions_are_read_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ministack.services import s3  # noqa: PLC0415

    monkeypatch.setattr(s3, "S3_PERSIST", True)
    monkeypatch.setattr(s3, "DATA_DIR", str(tmp_path))
    monkeypatch.setattr(s3, "_persist_object", on_disk_only(s3._persist_object, s3._object_versions))  # noqa: SLF001
    s3._create_bucket("photos", b"", {})  # noqa: SLF001
    s3._bucket_versioning["photos"] = "Enabled"  # noqa: SLF001
    made = [s3._put_object("photos", "a.jpg", body, {})[1] for body in (b"first", b"second")]  # noqa: SLF001
    names = [headers["x-amz-version-id"] for headers in made]

    def body(query: dict[str, str]) -> bytes:
        return bytes(s3._get_object("photos", "a.jpg", {}, query)[2])  # noqa: SLF001

    assert [body({"versionId": name}) for name in names] == [b"first", b"second"]
    assert body({}) == b"second"
    assert [one["data"] for one in s3._object_versions["photos", "a.jpg"]] == [None, None]  # noqa: SLF001
    s3._delete_object_version(s3._buckets["photos"], "photos", "a.jpg", names[1])  # noqa: SLF001
    assert body({}) == b"first"
