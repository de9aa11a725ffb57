"""Where things are drawn."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from operations.monitoring.charts import (
    TimeAxis,
    ValueAxis,
    by_day,
    dots,
    line,
    percentiles,
    round_step,
    round_up,
    steps,
)

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC).timestamp()
HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("span", "texts"),
    [
        (20 * 60, ["2 Nov", "00:05", "00:10", "00:15", "00:20"]),
        (3 * HOUR, ["2 Nov", "01:00", "02:00", "03:00"]),
        (2 * DAY, ["2 Nov", "12:00", "3 Nov", "12:00", "4 Nov"]),
        (6 * DAY, ["3 Nov", "5 Nov", "7 Nov"]),
        (400 * DAY, ["Nov 2026", "Mar 2027", "Jul 2027", "Oct 2027"]),
    ],
)
def test_times_are_marked_where_they_are_round(span: float, texts: list[str]) -> None:
    ticks = TimeAxis(MIDNIGHT, MIDNIGHT + span).ticks()
    assert [tick.text for tick in ticks] == texts
    assert all(0 <= tick.place <= 100 for tick in ticks)


def test_text_at_an_edge_is_not_cut_off() -> None:
    ticks = TimeAxis(MIDNIGHT, MIDNIGHT + 3 * HOUR).ticks()
    assert [tick.anchor for tick in ticks] == ["start", "middle", "middle", "end"]


def test_a_single_moment_lies_in_the_middle() -> None:
    axis = TimeAxis.over(np.array([MIDNIGHT]))
    assert axis.places(np.array([MIDNIGHT])).tolist() == [50.0]


def test_values_are_drawn_upwards_and_kept_inside() -> None:
    axis = ValueAxis(0.5, 1.0, 200)
    assert axis.places(np.array([0.5, 0.75, 1.0, 0.1, 7.0])).tolist() == [200, 100, 0, 200, 0]
    assert [(tick.place, tick.text) for tick in axis.ticks()] == [
        (200, "0.5"),
        (160, "0.6"),
        (120, "0.7"),
        (80, "0.8"),
        (40, "0.9"),
        (0, "1.0"),
    ]


@pytest.mark.parametrize(
    ("least", "step"), [(0.125, 0.1), (0.2, 0.2), (0.3, 0.2), (7, 5), (10, 10), (99, 50)]
)
def test_steps_are_round(least: float, step: float) -> None:
    assert round_step(least) == pytest.approx(step)


@pytest.mark.parametrize(
    ("value", "top"), [(1.234, 1.3), (99.1, 100), (0.1, 0.1), (1200, 1200), (1201, 1300)]
)
def test_the_top_of_an_axis_is_round(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


def test_dots_on_top_of_each_other_are_drawn_once() -> None:
    assert dots(np.array([10.0, 10.0, 50.0]), np.array([3.2, 2.9, 7.0])) == "M100 3h0M500 7h0"


def test_the_path_of_dots_does_not_grow_with_their_number() -> None:
    random = np.random.default_rng(0)
    sizes = [len(dots(random.uniform(0, 100, n), random.uniform(0, 20, n))) for n in (50_000, 500_000)]
    assert sizes[1] < 1.1 * sizes[0] < 200_000


def test_a_line_breaks_where_nothing_is_known() -> None:
    places = np.array([0.0, 25.0, 50.0, 75.0, 100.0])
    assert line(places, np.array([1, 2, np.nan, 4, 5])) == "M0 1.0L250 2.0M750 4.0L1000 5.0"


def test_a_histogram_is_an_outline_from_edge_to_edge() -> None:
    assert steps(np.array([0.0, 1.0]), 90) == "M0 90L0 90H500L500 0H1000L1000 90"


def test_days_are_counted_in_utc_with_empty_ones_between() -> None:
    times = MIDNIGHT + np.array([0, DAY - 1, DAY, 3 * DAY + 5])
    spells = by_day(times, 10)
    assert [(spell.text, spell.rows) for spell in spells] == [
        ("2 Nov", slice(0, 2)),
        ("3 Nov", slice(2, 3)),
        ("4 Nov", slice(3, 3)),
        ("5 Nov", slice(3, 4)),
    ]


def test_many_days_are_grouped() -> None:
    times = MIDNIGHT + np.arange(100.0) * DAY
    spells = by_day(times, 45)
    assert (len(spells), spells[0].text, spells[-1].text) == (34, "2 Nov to 4 Nov", "9 Feb to 11 Feb")
    assert sum(spell.rows.stop - spell.rows.start for spell in spells) == 100
    assert spells[0].first == datetime(2026, 11, 2, tzinfo=UTC)
    assert spells[1].first - spells[0].first == timedelta(days=3)


def test_no_times_have_no_days() -> None:
    assert by_day(np.array([]), 10) == []


def test_percentiles_leave_out_what_is_not_known() -> None:
    assert percentiles(np.array([1.0, np.nan, 3.0]), (0.5, 1)) == [2.0, 3.0]
    assert np.isnan(percentiles(np.array([np.nan]), (0.5,))).all()
