"""Calendars: the local dates on which an item may fire, and why it may not on others.

A calendar first says which dates are working days: those whose weekday is named, and those included; none
that is excluded. `working_day` then leaves one working day of each month: the n-th (1, 2, ...), or the last
(-1), the last but one (-2) ... What is not said: with neither weekdays nor included dates all weekdays count,
or Monday to Friday where `working_day` is asked for; with included dates alone only these count.

A tick belongs to the local date on which it happens: one that the clock moved out of a gap over midnight, to
the date after it.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

import msgspec

from aetherflow.schedule.holidays import Holidays
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.weekdays import WEEKDAYS, weekday_numbers
from aetherflow.schedule.window import Windows
from aetherflow.schedule.zone import Zone, instant
from aetherflow.spec.suggest import quoted

MOST_DAYS = 36_600
"""The search for a next date ends after a hundred years."""

_MOST_WORKING_DAYS = 31
_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86_400


class Calendar(msgspec.Struct, frozen=True):
    """A named calendar; weekdays are numbered from Monday = 0, see the module for what the rest means.

    Attributes:
        windows: when items of the calendar start nothing on its dates.
    """

    name: str
    weekdays: frozenset[int]
    include: frozenset[date] = frozenset()
    exclude: frozenset[date] = frozenset()
    working_day: int | None = None
    holidays: Holidays | None = None
    windows: Windows = ()


def make_calendar(
    name: str,
    *,
    weekdays: Iterable[str] | None = None,
    include: Iterable[date] = (),
    exclude: Iterable[date] = (),
    working_day: int | None = None,
    holidays: Holidays | None = None,
    windows: Windows = (),
) -> Calendar:
    """Return a calendar; weekdays are names (`mon` or `monday`) or ranges of them (`mon-fri`).

    Raises:
        ScheduleProblem: a weekday is not known, a date is in both lists, or no date is left.
    """
    included, excluded = frozenset(include), frozenset(exclude)
    for day in sorted(included & excluded):
        message = f"calendar {quoted(name)}: {day} is both included and excluded"
        raise ScheduleProblem(message, hint="remove it from one of the lists", code="AF153")
    if working_day is not None and not 1 <= abs(working_day) <= _MOST_WORKING_DAYS:
        raise ScheduleProblem(
            f"calendar {quoted(name)}: no month has a working day {working_day}",
            hint="write 1 for the first working day of the month, -1 for the last",
            code="AF153",
        )
    if weekdays is not None:
        where = f"calendar {quoted(name)}"
        numbers = frozenset(number for text in weekdays for number in weekday_numbers(where, text))
    elif included:
        numbers = frozenset()
    else:
        numbers = frozenset(range(7 if working_day is None else 5))
    if not numbers and not included:
        hint = "name weekdays or include dates"
        raise ScheduleProblem(f"calendar {quoted(name)} has no dates", hint=hint, code="AF153")
    closed = excluded | (holidays.names.keys() - included if holidays else frozenset())
    return Calendar(name, numbers, included, frozenset(closed), working_day, holidays, windows)


def is_open(calendar: Calendar, day: date) -> bool:
    """Whether items of the calendar fire on a local date."""
    return not why_closed(calendar, day)


def why_closed(calendar: Calendar, day: date) -> str:
    """Return why items of the calendar do not fire on a local date; an empty text if they do."""
    if not _is_working_day(calendar, day):
        if day in calendar.exclude:
            if name := calendar.holidays and calendar.holidays.names.get(day):
                return f"{day} is a holiday of the calendar {quoted(calendar.name)}: {name}"
            return f"{day} is excluded by the calendar {quoted(calendar.name)}"
        if not calendar.weekdays:
            return f"{day} is not included in the calendar {quoted(calendar.name)}"
        return f"{day} is a {WEEKDAYS[day.weekday()]}, no working day of the calendar {quoted(calendar.name)}"
    if calendar.working_day is None or day == _chosen_day(calendar, day.year, day.month):
        return ""
    which = _which(calendar.working_day)
    return f"{day} is not the {which} working day of the month in the calendar {quoted(calendar.name)}"


def _which(number: int) -> str:
    place = {1: "first", 2: "second", 3: "third"}.get(abs(number), f"{abs(number)}th")
    if number > 0:
        return place
    return "last" if number == -1 else f"{place} to last"


def _is_working_day(calendar: Calendar, day: date) -> bool:
    if day in calendar.exclude:
        return False
    return day.weekday() in calendar.weekdays or day in calendar.include


@lru_cache(maxsize=4096)  # each tick of a month asks again
def _chosen_day(calendar: Calendar, year: int, month: int) -> date | None:
    """Return the one working day of a month that `working_day` leaves; None if it has not so many."""
    days = (date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1))
    working = [day for day in days if _is_working_day(calendar, day)]
    number = calendar.working_day or 0
    at = number - 1 if number > 0 else number
    return working[at] if -len(working) <= at < len(working) else None


def next_open_date(calendar: Calendar, day: date) -> date | None:
    """Return the first date at or after `day` on which items fire; None: not one in a hundred years."""
    if not calendar.weekdays and calendar.working_day is None:
        return min((included for included in calendar.include if included >= day), default=None)
    last = min(day.toordinal() + MOST_DAYS, date.max.toordinal())
    while day.toordinal() <= last:
        if calendar.working_day is None:
            if _is_working_day(calendar, day):
                return day
            day += timedelta(days=1)
        else:
            chosen = _chosen_day(calendar, day.year, day.month)
            if chosen and chosen >= day:
                return chosen
            day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return None


def local_date(zone: Zone, at: int) -> date:
    """Return the local date of an instant in seconds since 1970."""
    return instant(at + zone.period(at).offset).date()


def next_open(calendar: Calendar, zone: Zone, at: int) -> int | None:
    """Return the first instant at or after `at`, in seconds since 1970, whose local date is open."""
    while True:
        period = zone.period(at)
        local = at + period.offset
        found = next_open_date(calendar, instant(local).date())
        if found is None:
            return None
        midnight = (found.toordinal() - _EPOCH) * _DAY
        if midnight < period.end + period.offset:
            return max(at, midnight - period.offset)
        at = period.end


def next_closed(calendar: Calendar, zone: Zone, at: int, limit: int) -> int:
    """Return the first instant after `at`, `limit` at most, whose local date is closed."""
    while at < limit:
        period = zone.period(at)
        day = instant(at + period.offset).date()
        if not is_open(calendar, day):
            return at
        at = min((day.toordinal() + 1 - _EPOCH) * _DAY - period.offset, period.end)
    return limit
