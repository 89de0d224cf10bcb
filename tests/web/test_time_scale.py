"""Times have places in the order of time; a gap between executions is short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from aetherflow.web.model import Execution
from aetherflow.web.time_scale import scale_of

START = datetime(2026, 1, 31, tzinfo=UTC)


def execution(begin: float, end: float, attempt: int = 1) -> Execution:
    return Execution(START + timedelta(seconds=begin), START + timedelta(seconds=end), attempt)


def test_one_execution_takes_the_whole_width() -> None:
    scale = scale_of([execution(0, 10)])

    assert [scale.left(START + timedelta(seconds=at)) for at in (-5, 0, 5, 10, 20)] == [0, 0, 50, 100, 100]
    assert scale.gaps == ()
    assert [tick.seconds for tick in scale.ticks] == [0, 2, 4, 6, 8, 10]


def test_hours_between_executions_take_little_room() -> None:
    scale = scale_of([execution(0, 60), execution(36000, 36060, 2)])

    (gap,) = scale.gaps
    assert (gap.seconds, gap.attempt) == (35940, 2)
    assert gap.width == pytest.approx(3.5)
    assert scale.left(START + timedelta(seconds=60)) == pytest.approx(gap.left)
    assert scale.left(START + timedelta(seconds=36000)) == pytest.approx(gap.left + gap.width)
    assert scale.left(START + timedelta(seconds=20000)) == pytest.approx(gap.left)
    places = [tick.left for tick in scale.ticks]
    assert places == sorted(places)
    assert {tick.seconds for tick in scale.ticks if tick.left >= gap.left + gap.width} >= {0}


def test_a_short_gap_is_drawn_as_it_is() -> None:
    assert scale_of([execution(0, 60), execution(61, 120, 2)]).gaps == ()


def test_very_many_executions_still_leave_room_for_what_ran() -> None:
    scale = scale_of([execution(1000 * n, 1000 * n + 1, n + 1) for n in range(200)])

    assert sum(gap.width for gap in scale.gaps) == pytest.approx(35)
    assert scale.left(START + timedelta(days=9)) == pytest.approx(100)


@pytest.mark.parametrize("seconds", [0, 0.001, 0.4, 59, 3601, 86400 * 40])
def test_there_are_few_ticks_whatever_the_length(seconds: float) -> None:
    assert 1 <= len(scale_of([execution(0, seconds)]).ticks) <= 7
