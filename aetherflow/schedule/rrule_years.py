"""Compute the dates of an RRULE year by year with dateutil, so that no question looks at all years before.

The rule of a year begins at a period of its own: the first year, month, week or day that the interval meets.
dateutil is imported when the first rule is asked for a date.
"""

from __future__ import annotations

from array import array
from calendar import isleap
from contextlib import suppress
from datetime import MAXYEAR, date, datetime, timedelta
from functools import cache, lru_cache
from typing import Literal

import msgspec

from aetherflow.schedule.zone import DAY, LAST_YEAR

Frequency = Literal["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall clock
_SECOND = timedelta(seconds=1)


class YearlyRule(msgspec.Struct, frozen=True):
    """What a year's dates depend on.

    Attributes:
        text: the rule in iCalendar's words, without COUNT, UNTIL and DTSTART.
        interval: how many periods lie between two that count.
        since: the ordinal of a date in the first period; 0 where every period counts.
        week_start: the first weekday of a week, Monday is 0.
    """

    text: str
    frequency: Frequency
    interval: int
    since: int
    week_start: int


def first_second(year: int) -> int:
    """Return the first second of a year on the wall clock, in seconds since 1970."""
    return (date(year, 1, 1).toordinal() - date(1970, 1, 1).toordinal()) * DAY


def year_of(local: int) -> int:
    """Return the year of a local time; one after the last year for all times beyond it."""
    return (_EPOCH + min(local, first_second(LAST_YEAR + 1)) * _SECOND).year


@lru_cache(maxsize=4096)  # of rules and years; some kilobytes each, most share a few rules
def local_times_of(rule: YearlyRule, year: int) -> array[int]:
    """Return the local times of the rule in a year, in seconds since 1970, sorted."""
    begin = _begin(rule, year)
    if begin is None:
        return array("q")
    january = date(year, 1, 1)
    found = _times_in_a_year(rule.text, _year_like(year), (begin - january).days)
    first = first_second(year)
    return array("q", (first + second for second in found))


@lru_cache(maxsize=4096)
def _times_in_a_year(text: str, year: int, begin: int) -> array[int]:
    """Return the times of a rule in a year from a day on, in seconds since the first of January."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - only schedules with an RRULE need it

    january = datetime(year, 1, 1)  # noqa: DTZ001 - of the wall clock
    found = rrulestr(f"{text};UNTIL={year}1231T235959", dtstart=january + timedelta(days=begin))
    times = array("q")
    with suppress(ValueError):  # where no match ends its search, dateutil runs into the year 10000
        for one in found:
            if one >= january:
                times.append((one - january) // _SECOND)
    return times


def _year_like(year: int) -> int:
    """Return one of the last years of dates that has the same days and weeks.

    dateutil looks for a first match up to the year 9999, whatever UNTIL says: it must not have far to go.
    """
    return _years_like()[date(year, 1, 1).weekday(), isleap(year), isleap(year - 1)]


@cache
def _years_like() -> dict[tuple[int, bool, bool], int]:
    years = range(MAXYEAR - 27, MAXYEAR + 1)  # weekdays and leap years come again after 28 years
    return {(date(year, 1, 1).weekday(), isleap(year), isleap(year - 1)): year for year in years}


def _begin(rule: YearlyRule, year: int) -> date | None:
    """Return the first day of the first period that counts and reaches into a year; None if none does."""
    january, since = date(year, 1, 1), date.fromordinal(rule.since or 1)
    match rule.frequency:
        case "YEARLY":
            return None if (year - since.year) % rule.interval else january
        case "MONTHLY":
            month = (since.year * 12 + since.month - 1 - year * 12) % rule.interval
            return date(year, month + 1, 1) if month < 12 else None  # noqa: PLR2004 - months of a year
        case "WEEKLY":
            week, first = _week(january, rule.week_start), _week(since, rule.week_start)
            return date.fromordinal(week + (first - week) % (7 * rule.interval))
        case "DAILY":
            return january + timedelta(days=(rule.since - january.toordinal()) % rule.interval)


def _week(day: date, week_start: int) -> int:
    return day.toordinal() - (day.weekday() - week_start) % 7
