"""Charts: the page's colours, one text for one set of data, a bounded size; and groups of days."""

import re
from datetime import UTC, datetime

import numpy as np

from operations.report.charts import by_time, confidence_over_time, percentiles, unit_of

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
DAY = 86_400
LABELS = ("bicycle", "motorcycle")


def scatter(count: int) -> str:
    random = np.random.default_rng(0)
    times = MIDNIGHT + np.sort(random.uniform(0, 90 * DAY, count))
    return confidence_over_time(
        times, random.uniform(0.5, 1, count), random.integers(0, 2, count), LABELS, 0.85
    )


def test_a_chart_has_the_pages_colours_and_no_ids_that_another_has() -> None:
    chart = scatter(50)
    assert chart == scatter(50)
    assert {"class-0", "class-1", "text", "soft", "line", "card"} == set(
        re.findall(r"var\(--([\w-]+)\)", chart)
    )
    assert "#0a00" not in chart
    assert "<metadata" not in chart
    assert 'id="figure' not in chart
    assert 'viewBox="0 0 400 220"' in chart


def test_a_chart_does_not_grow_with_the_number_of_dots() -> None:
    sizes = [len(scatter(count)) for count in (50_000, 500_000)]
    assert sizes[0] < sizes[1] < 500_000


def test_a_single_moment_can_be_drawn() -> None:
    assert "var(--class-0)" in confidence_over_time(
        np.array([MIDNIGHT]), np.array([0.9]), np.array([0]), LABELS, 0.85
    )


def test_days_are_counted_in_utc_with_empty_ones_between() -> None:
    times = MIDNIGHT + np.array([0, DAY - 1, DAY, 3 * DAY + 5])
    buckets = by_time(times, 10)
    assert [(bucket.text, bucket.rows) for bucket in buckets] == [
        ("2 Nov", slice(0, 2)),
        ("3 Nov", slice(2, 3)),
        ("4 Nov", slice(3, 3)),
        ("5 Nov", slice(3, 4)),
    ]


def test_below_three_days_hours_are_counted() -> None:
    times = MIDNIGHT + np.array([0, 3_599, 3_600, 2.9 * DAY])
    buckets = by_time(times, 10)
    assert (len(buckets), unit_of(times)) == (70, "hour")
    assert [one.text for one in buckets[:2]] == ["2 Nov 00:00", "2 Nov 01:00"]
    assert [one.rows for one in (buckets[0], buckets[1], buckets[-1])] == [
        slice(0, 2),
        slice(2, 3),
        slice(3, 4),
    ]
    assert unit_of(MIDNIGHT + np.array([0, 3.0 * DAY])) == "day"


def test_many_days_are_grouped() -> None:
    times = MIDNIGHT + np.arange(100.0) * DAY
    buckets = by_time(times, 45)
    assert (len(buckets), buckets[0].text, buckets[-1].text) == (34, "2 Nov to 4 Nov", "9 Feb to 11 Feb")
    assert sum(bucket.rows.stop - bucket.rows.start for bucket in buckets) == 100


def test_no_times_have_no_days() -> None:
    assert by_time(np.array([]), 10) == []


def test_percentiles_leave_out_what_is_not_known() -> None:
    assert percentiles(np.array([1.0, np.nan, 3.0]), (0.5, 1)) == [2.0, 3.0]
    assert np.isnan(percentiles(np.array([np.nan]), (0.5,))).all()
