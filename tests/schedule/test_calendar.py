"""Calendars leave dates out, say why, and never let a tick through on one of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from aetherflow.schedule.calendar import Calendar, is_open, make_calendar, next_open_date, why_closed
from aetherflow.schedule.cron import parse_cron
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.timetable import Timetable, closed_ticks, count_ticks, next_tick, ticks
from aetherflow.schedule.trigger import Trigger, parse_interval
from aetherflow.schedule.zone import load_zone, seconds

CHRISTMAS = date(2026, 12, 25)
"""A Friday."""


def open_days(calendar: Calendar, year: int, month: int) -> list[int]:
    first = date(year, month, 1)
    days = [first + timedelta(days=n) for n in range(31)]
    return [day.day for day in days if day.month == month and is_open(calendar, day)]


def test_weekdays_and_excluded_dates() -> None:
    calendar = make_calendar("business", weekdays=["mon-fri"], exclude=[CHRISTMAS])
    assert open_days(calendar, 2026, 12)[-6:] == [23, 24, 28, 29, 30, 31]
    assert why_closed(calendar, CHRISTMAS) == "2026-12-25 is excluded by the calendar 'business'"
    assert why_closed(calendar, date(2026, 12, 26)) == (
        "2026-12-26 is a saturday, no working day of the calendar 'business'"
    )
    assert why_closed(calendar, date(2026, 12, 28)) == ""


def test_ticks_of_the_last_second_of_a_closed_day_are_passed_over() -> None:
    business = make_calendar("business", weekdays=["mon-fri"])
    table = Timetable("item", parse_cron("59 59 23 * * *"), load_zone("UTC"), calendar=business)
    friday = datetime(2026, 12, 4, 23, 59, 59, tzinfo=UTC)
    assert next_tick(table, friday) == friday + timedelta(days=3)
    assert next_tick(table, friday - timedelta(seconds=1)) == friday


def test_included_dates_alone_are_the_only_ones() -> None:
    calendar = make_calendar("stocktaking", include=[date(2027, 6, 30), CHRISTMAS])
    assert open_days(calendar, 2026, 12) == [25]
    assert why_closed(calendar, date(2026, 12, 24)) == (
        "2026-12-24 is not included in the calendar 'stocktaking'"
    )
    assert next_open_date(calendar, date(2026, 12, 26)) == date(2027, 6, 30)
    assert next_open_date(calendar, date(2027, 7, 1)) is None


def test_included_dates_come_on_top_of_weekdays() -> None:
    calendar = make_calendar("shop", weekdays=["Monday", "sat-sun"], include=[CHRISTMAS])
    assert open_days(calendar, 2026, 12) == [5, 6, 7, 12, 13, 14, 19, 20, 21, 25, 26, 27, 28]


def test_excluded_dates_alone_leave_all_others() -> None:
    assert open_days(make_calendar("holidays", exclude=[CHRISTMAS]), 2026, 12) == [
        day for day in range(1, 32) if day != 25
    ]


@pytest.mark.parametrize(
    ("number", "expected"), [(1, [1]), (2, [2]), (-1, [31]), (-2, [30]), (22, [31]), (23, []), (-22, [1])]
)
def test_one_working_day_of_the_month(number: int, expected: list[int]) -> None:
    calendar = make_calendar("closing", exclude=[CHRISTMAS], working_day=number)
    assert open_days(calendar, 2026, 12) == expected


def test_the_last_working_day_before_a_holiday_and_a_weekend() -> None:
    calendar = make_calendar("closing", exclude=[date(2027, 1, 29)], working_day=-1)
    assert open_days(calendar, 2027, 1) == [28]  # the 29th, a Friday, is a holiday
    assert why_closed(calendar, date(2027, 1, 27)) == (
        "2027-01-27 is not the last working day of the month in the calendar 'closing'"
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "the first"), (3, "the third"), (4, "the 4th"), (-1, "the last"), (-2, "the second to last")],
)
def test_the_working_day_in_words(number: int, words: str) -> None:
    closed = why_closed(make_calendar("closing", working_day=number), date(2027, 1, 13))
    assert closed == f"2027-01-13 is not {words} working day of the month in the calendar 'closing'"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"include": [CHRISTMAS], "exclude": [CHRISTMAS]}, "2026-12-25 is both included and excluded"),
        ({"weekdays": ["mon-fry"]}, "'fry' is no weekday"),
        ({"weekdays": [""]}, "'' is no weekday"),
        ({"weekdays": []}, "has no dates"),
        ({"working_day": 0}, "no month has a working day 0"),
        ({"working_day": -32}, "no month has a working day -32"),
    ],
)
def test_what_is_wrong_is_reported(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ScheduleProblem, match=message) as caught:
        make_calendar("c", **arguments)
    assert caught.value.code == "AF153"
    assert caught.value.hint


@pytest.mark.parametrize(
    "trigger",
    [parse_cron("*/20 */3 * * *"), parse_cron("30 2 * * *"), parse_interval(7000), parse_cron("0 0 31 * *")],
)
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Africa/Cairo", "Pacific/Apia", "UTC"])
@pytest.mark.parametrize(
    "calendar",
    [
        make_calendar("business", weekdays=["mon-fri"], exclude=[date(2027, 3, 26), date(2027, 10, 29)]),
        make_calendar("closing", working_day=-1),
        make_calendar("few", include=[date(2027, 3, 28), date(2027, 4, 30), date(2027, 10, 31)]),
    ],
    ids=lambda calendar: calendar.name,
)
def test_a_calendar_filters_the_ticks(trigger: Trigger, zone: str, calendar: Calendar) -> None:
    place, start, end = load_zone(zone), datetime(2027, 3, 20, tzinfo=UTC), datetime(2027, 11, 10, tzinfo=UTC)
    every = list(ticks(Timetable("item", trigger, place), start, end))
    expected = [tick for tick in every if is_open(calendar, tick.astimezone(place.info).date())]
    table = Timetable("item", trigger, place, calendar=calendar)
    assert list(ticks(table, start, end)) == expected
    assert count_ticks(table, seconds(start) + 1, seconds(end) + 1) == len(expected)
    closed = list(closed_ticks(table, start, end))
    assert sorted(closed + expected) == every


def test_the_clock_goes_back_over_midnight() -> None:
    """In Beirut the first quarter of a day can fall on the date before: that is the date which counts."""
    zone = load_zone("Asia/Beirut")
    calendar = make_calendar("saturdays", weekdays=["sat"])
    table = Timetable("item", parse_cron("*/15 * * * *"), zone, calendar=calendar)
    day = list(ticks(table, datetime(2027, 10, 29, 20, 59, tzinfo=UTC), datetime(2027, 11, 1, tzinfo=UTC)))
    assert len(day) == 25 * 4
    assert {tick.astimezone(zone.info).date() for tick in day} == {date(2027, 10, 30)}


def test_a_trigger_and_a_calendar_that_never_meet() -> None:
    calendar = make_calendar("sundays", weekdays=["sun"])
    never = Timetable("item", parse_cron("0 0 * * mon"), load_zone("UTC"), calendar=calendar)
    assert next_tick(never, datetime(2027, 1, 1, tzinfo=UTC)) is None
    past = make_calendar("past", include=[CHRISTMAS])
    over = Timetable("item", parse_cron("* * * * *"), load_zone("UTC"), calendar=past)
    assert next_tick(over, datetime(2027, 1, 1, tzinfo=UTC)) is None


def test_a_calendar_without_dates_left() -> None:
    calendar = make_calendar("sparse", include=[CHRISTMAS], working_day=2)
    table = Timetable("item", parse_cron("0 0 * * *"), load_zone("UTC"), calendar=calendar)
    assert next_tick(table, datetime(2026, 1, 1, tzinfo=UTC)) is None
    without = Timetable("item", table.trigger, table.zone)
    assert (
        list(closed_ticks(without, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))) == []
    )
