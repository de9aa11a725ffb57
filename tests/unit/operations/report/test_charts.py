"""Charts: the page's colours, one text for one set of data, a bounded size; and groups of days."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from operations.report.charts import by_time, confidence_over_time, percentiles, unit_of

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
DAY = 86_400
LABELS = ("bicycle", "motorcycle")


def scatter(count: int) -> str:
    random = np.random.default_rng(0)
    times = MIDNIGHT + np.sort(random.uniform(0, 90 * DAY, count))
    facts = times, random.uniform(0.5, 1, count), random.integers(0, 2, count)
    return confidence_over_time(*facts, LABELS, 0.85)


def test_a_chart_has_the_pages_colours_and_no_ids_that_another_has() -> None:
    chart = scatter(50)
    assert chart == scatter(50)
    assert {"class-0", "class-1", "text", "soft", "line", "card"} == set(
        re.findall(r"var\(--([\w-]+)\)", chart)
    )
    assert [text for text in ("#0a00", "<metadata", 'id="figure') if text in chart] == []
    assert 'viewBox="0 0 400 220"' in chart


def test_a_chart_does_not_grow_with_the_number_of_dots_and_one_can_be_drawn() -> None:
    sizes = [len(scatter(count)) for count in (50_000, 500_000)]
    assert sizes[0] < sizes[1] < 500_000
    alone = np.array([MIDNIGHT]), np.array([0.9]), np.array([0])
    assert "var(--class-0)" in confidence_over_time(*alone, LABELS, 0.85)


BY_DAY = {0: ("2 Nov", 0, 2), 1: ("3 Nov", 2, 3), 2: ("4 Nov", 3, 3), 3: ("5 Nov", 3, 4)}
BY_HOUR = {0: ("2 Nov 00:00", 0, 2), 1: ("2 Nov 01:00", 2, 3), -1: ("4 Nov 21:00", 3, 4)}


@pytest.mark.parametrize(
    ("days", "unit", "count", "groups"),  # places of groups: text and rows
    [
        ([0, 1 - 1 / DAY, 1, 3 + 5 / DAY], "day", 4, BY_DAY),
        ([0, 3_599 / DAY, 1 / 24, 2.9], "hour", 70, BY_HOUR),
        ([0, 3], "day", 4, {}),
        (range(100), "day", 34, {0: ("2 Nov to 4 Nov", 0, 3), -1: ("9 Feb to 11 Feb", 99, 100)}),
    ],
)
def test_times_are_counted_by_hour_or_day_in_utc_with_empty_ones_between(
    days: Sequence[float], unit: str, count: int, groups: dict[int, tuple[str, int, int]]
) -> None:
    times = MIDNIGHT + np.array(days) * DAY
    buckets = by_time(times, 45)
    assert (unit_of(times), len(buckets)) == (unit, count)
    found = {place: buckets[place] for place in groups}
    assert found == {place: (text, slice(first, end)) for place, (text, first, end) in groups.items()}
    assert sum(bucket.rows.stop - bucket.rows.start for bucket in buckets) == len(times)


def test_no_times_have_no_days_and_percentiles_leave_out_what_is_not_known() -> None:
    assert by_time(np.array([]), 10) == []
    assert percentiles(np.array([1.0, np.nan, 3.0]), (0.5, 1)) == [2.0, 3.0]
    assert np.isnan(percentiles(np.array([np.nan]), (0.5,))).all()
