"""What holds for every timetable: ticks go forward, exist on the wall clock, are found again and counted."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aetherflow.schedule.calendar import is_open, make_calendar
from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.dst import DstRule
from aetherflow.schedule.timetable import (
    Timetable,
    count_ticks,
    latest_ticks,
    next_second,
    next_tick,
    notes,
    ticks,
)
from aetherflow.schedule.trigger import Trigger, parse_interval, parse_moment
from aetherflow.schedule.zone import load_zone, seconds
from tests.schedule.brute_force import generate
from tests.schedule.test_ticks_against_brute_force import expressions
from tests.sizes import examples

ZONES = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "Antarctica/Troll", "Pacific/Apia",
         "America/Havana", "Africa/Casablanca", "Asia/Kathmandu"]  # fmt: skip
START = datetime(2010, 1, 1, tzinfo=UTC)
CALENDARS = [
    None,
    make_calendar("business", weekdays=["mon-fri"], exclude=[date(2011, 12, 29), date(2027, 3, 26)]),
    make_calendar("closing", working_day=-1),
    make_calendar("weekend", weekdays=["sat-sun"]),
]


@st.composite
def triggers(draw: st.DrawFn) -> Trigger:
    kind = draw(st.sampled_from(["cron", "cron", "cron", "interval", "moment"]))
    if kind == "interval":
        return parse_interval(draw(st.integers(1, 10**6)))
    if kind == "moment":
        return parse_moment(draw(st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1))).isoformat())  # noqa: DTZ001
    rng = random.Random(draw(st.integers(0, 10**6)))  # noqa: S311 - repeatable, keeps no secret
    return parse_cron(next(expressions(rng, 1)).text)


@st.composite
def tables(draw: st.DrawFn) -> Timetable:
    rules = [DstRule(gap, overlap) for gap in ("run_once", "skip") for overlap in ("first", "both")]
    return Timetable(
        "item",
        draw(triggers()),
        load_zone(draw(st.sampled_from(ZONES))),
        draw(st.sampled_from([None, *rules])),
        draw(st.sampled_from(CALENDARS)),
    )


afters = st.integers(0, 25 * 365 * 86_400).map(lambda late: START + timedelta(seconds=late))


@examples(36)
@given(tables(), afters)
def test_ticks_go_forward_and_exist(table: Timetable, after: datetime) -> None:
    before = after
    for _ in range(10):
        tick = next_tick(table, before)
        if tick is None:
            break
        assert tick > before
        assert tick.tzinfo is UTC
        local = tick.astimezone(table.zone.info)
        assert local.astimezone(UTC) == tick
        assert table.calendar is None or is_open(table.calendar, local.date())
        assert len(notes(table, tick)) <= 1
        before = tick


@examples(36)
@given(tables(), afters, st.floats(0, 1, exclude_max=True))
def test_the_same_tick_is_found_from_anywhere_before_it(
    table: Timetable, after: datetime, part: float
) -> None:
    tick = next_tick(table, after)
    if tick is not None:
        assert next_tick(table, after) == tick
        assert next_tick(table, after + (tick - after) * part * 0.999) == tick
        assert next_tick(table, tick - timedelta(microseconds=1)) == tick


@examples(36)
@given(tables(), afters, st.integers(1, 20))
def test_ticks_are_counted_and_the_latest_found(table: Timetable, after: datetime, most: int) -> None:
    found, at = [], seconds(after)
    for _ in range(40):
        following = next_second(table, at)
        if following is None:
            break
        at = following
        found.append(at)
    if found:
        start, end = seconds(after) + 1, found[-1] + 1
        assert count_ticks(table, start, end) == len(found)
        assert count_ticks(table, start, end - 1) == len(found) - 1
        assert latest_ticks(table, start, end, most) == found[-most:]
        assert all(a < b for a, b in pairwise(found))


@given(afters)
def test_until_is_part_of_a_range_and_after_is_not(after: datetime) -> None:
    table = Timetable("item", parse_interval(1), load_zone("UTC"))
    after = after.replace(microsecond=0)
    assert list(ticks(table, after, after + timedelta(seconds=2))) == [
        after + timedelta(seconds=1),
        after + timedelta(seconds=2),
    ]


def test_expressions_are_drawn_again_from_the_same_seed() -> None:
    assert [generate(random.Random(3)).text for _ in range(2)] == [generate(random.Random(3)).text] * 2  # noqa: S311
