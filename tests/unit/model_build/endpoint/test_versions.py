"""Names of versions: sorted by time, and told apart by endpoint."""

from datetime import UTC, datetime

from model_build.endpoint.versions import archive_key, is_version_of, version_name


def test_versions_of_one_endpoint_are_told_from_those_of_another() -> None:
    version = version_name("scones", datetime(2026, 11, 23, 10, 15, 0, 42_000, tzinfo=UTC))

    assert version == "scones-20261123-101500-042"
    assert is_version_of(version, "scones")
    assert not is_version_of(version, "scon")
    assert not is_version_of("scones-dev-20261123-101500-042", "scones")
    assert not is_version_of("scones", "scones")


def test_versions_sort_by_the_time_they_were_made() -> None:
    times = [datetime(2026, month, 3, tzinfo=UTC) for month in (2, 9, 10, 12)]

    names = [version_name("scones", time) for time in times]

    assert names == sorted(names)


def test_each_version_has_an_archive_of_its_own() -> None:
    assert archive_key("scones-20261123-101500-042") == "models/scones-20261123-101500-042/model.tar.gz"
