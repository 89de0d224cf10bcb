"""Compute the days of a month that a cron expression matches, as the bits of an int.

Day of month and day of week follow crontab(5) of Vixie's cron as Debian has it: when both are restricted, a
day that matches EITHER is meant; when one of them begins with `*` (`*/2` too), both must match. Sunday is 0
and 7. `L`, `W` and `#` are those of Quartz's CronExpression:

    L     the last day of the month         L-3   three days before it
    15W   the working day (Monday to Friday) nearest to the 15th, within the month
    LW    the last working day of the month
    5L    the last Friday of the month      5#2   its second Friday

A month without the day (31W in June, 5#5 in most) has no match, as it has none for a plain 31.
"""

from __future__ import annotations

import re

import msgspec

from aetherflow.schedule.fields import DAY_OF_MONTH, DAY_OF_WEEK, number, parse_items, refused

_SPECIAL_DAY = re.compile(r"L(?:-(?P<before>\d{1,2}))?|(?P<nearest>L|\d{1,2})W", re.IGNORECASE | re.ASCII)
_SPECIAL_WEEKDAY = re.compile(r"(?P<day>\w+?)(?:(?P<last>L)|#(?P<nth>.*))", re.IGNORECASE | re.ASCII)
_SUNDAY, _SATURDAY = 0, 6
_MOST_WEEKS = 5
_MOST_BEFORE_LAST = 30
_LAST = 0
"""In the place of a day of the month, or of the n of an n-th weekday: the last one."""


class Days(msgspec.Struct, frozen=True, gc=False):
    """The two day fields of an expression.

    Attributes:
        of_month: bits 1 to 31.
        before_last: how many days before the last one of the month.
        nearest: days whose nearest working day is meant; 0 is the last day.
        of_week: bits 0 (Sunday) to 6.
        nth: weekday and n; n = 0 is the last one.
        both_match: whether a day must match both fields; otherwise either suffices.
    """

    of_month: int
    before_last: tuple[int, ...]
    nearest: tuple[int, ...]
    of_week: int
    nth: tuple[tuple[int, int], ...]
    both_match: bool


def parse_days(
    month_text: str, month_offset: int, week_text: str, week_offset: int, *, both_match: bool
) -> Days:
    """Return the two day fields; `both_match`: one of them is a wildcard.

    Raises:
        ScheduleProblem: one of them is not understood.
    """
    of_month, before_last, nearest = _parse_of_month(month_text, month_offset)
    of_week, nth = _parse_of_week(week_text, week_offset)
    return Days(of_month, before_last, nearest, of_week, nth, both_match)


def _parse_of_month(text: str, offset: int) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    plain, before_last, nearest = 0, [], []
    for item in text.split(","):
        found = _SPECIAL_DAY.fullmatch(item)
        if found is None:
            plain |= parse_items(DAY_OF_MONTH, item, offset)
        elif found["nearest"]:
            is_last = found["nearest"] in "lL"
            nearest.append(_LAST if is_last else number(DAY_OF_MONTH, found["nearest"], offset))
        else:
            before = int(found["before"] or 0)
            if before > _MOST_BEFORE_LAST:
                raise refused(DAY_OF_MONTH, f"'L-{before}' is before every month", offset, "L-30 at most")
            before_last.append(before)
        offset += len(item) + 1
    return plain, tuple(before_last), tuple(nearest)


def _parse_of_week(text: str, offset: int) -> tuple[int, tuple[tuple[int, int], ...]]:
    plain, nth = 0, []
    for item in text.split(","):
        found = _SPECIAL_WEEKDAY.fullmatch(item)
        if found is None or item.lower() in DAY_OF_WEEK.names:
            plain |= parse_items(DAY_OF_WEEK, item, offset)
        else:
            weekday = number(DAY_OF_WEEK, found["day"], offset) % 7
            nth.append((weekday, _LAST if found["last"] else _nth(found["nth"], offset)))
        offset += len(item) + 1
    return (plain | plain >> 7) & _EVERY_WEEKDAY, tuple(nth)


def _nth(text: str, offset: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) == 1 and 1 <= int(text) <= _MOST_WEEKS):
        message = f"there is no '#{text}' in a month"
        raise refused(DAY_OF_WEEK, message, offset, "write 5#1 to 5#5, or 5L for the last Friday")
    return int(text)


def days_of_month(days: Days, first: int, length: int) -> int:
    """Return the matching days, as bits 1 to 31.

    Args:
        days: the two day fields.
        first: the weekday of the first of the month, Sunday is 0.
        length: how many days the month has.
    """
    by_date, by_weekday = days.of_month, 0
    for before in days.before_last:
        if before < length:
            by_date |= 1 << length - before
    for day in days.nearest:
        if day <= length:
            by_date |= 1 << _nearest_working_day(day or length, first, length)
    if days.of_week == _EVERY_WEEKDAY:
        by_weekday = _EVERY_DAY
    else:
        for weekday in range(7):
            if days.of_week >> weekday & 1:
                by_weekday |= _WEEKLY << (weekday - first) % 7
    for weekday, nth in days.nth:
        begins = 1 + (weekday - first) % 7
        by_weekday |= 1 << (begins + 7 * (nth - 1) if nth else begins + (length - begins) // 7 * 7)
    matching = by_date & by_weekday if days.both_match else by_date | by_weekday
    return matching & ((2 << length) - 2)


_EVERY_WEEKDAY, _EVERY_DAY = (1 << 7) - 1, (1 << 32) - 2
_WEEKLY = sum(1 << day for day in range(1, 36, 7))
"""The first of the month and every seventh day after it."""


def _nearest_working_day(day: int, first: int, length: int) -> int:
    weekday = (first + day - 1) % 7
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day
