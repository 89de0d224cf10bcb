"""Read the day fields of a cron expression as APScheduler 3 did: Monday is 0, and both fields must fit."""

from __future__ import annotations

import re

import msgspec

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIELDS = 5
_ITEM = re.compile(r"(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?")


class OldCron(msgspec.Struct, frozen=True):
    """An expression as it is written here.

    Attributes:
        text: the expression, for an item that has `weekdays` in a calendar if these are not empty.
        weekdays: on which of the days of the month it fires, if both fields restrict the days.
        has_numbers: whether weekdays were written as numbers, or as steps of them.
        has_last: whether the day of month has `last`.
    """

    text: str
    weekdays: tuple[str, ...]
    has_numbers: bool
    has_last: bool


def read_cron(text: str) -> OldCron | None:
    """Return an expression as it is written here, None if 0.0 did not read it."""
    fields = text.split()
    if len(fields) != _FIELDS:
        return None
    minute, hour, day, month, weekday = fields
    numbers = _weekdays(weekday)
    if numbers is None:
        return None
    parts = day.lower().split(",")
    has_last = "last" in parts
    day = ",".join("L" if part == "last" else part for part in parts) if has_last else day
    has_numbers = bool(re.search(r"\d", weekday))
    named = named_days(numbers)
    weekdays: tuple[str, ...] = ()
    if named != "*" and not day.startswith("*"):
        weekdays, named = tuple(named.split(",")), "*"
    new = f"{minute} {hour} {day} {month} {named if has_numbers or weekdays or named == '*' else weekday}"
    return OldCron(new, weekdays, has_numbers, has_last)


def _weekdays(text: str) -> frozenset[int] | None:
    found: set[int] = set()
    for item in text.lower().split(","):
        body, _, step = item.partition("/")
        match = _ITEM.fullmatch(body)
        if match is None or (step and not step.isdecimal()):
            return None
        every = int(step) if step else 1
        if match["all"]:
            first, last = 0, 6
        else:
            low = _number(match["first"])
            high = _number(match["last"]) if match["last"] else (6 if step else low)
            if low is None or high is None or high < low:
                return None
            first, last = low, high
        if not every:
            return None
        found |= set(range(first, last + 1, every))
    return frozenset(found)


def _number(text: str) -> int | None:
    if text in DAYS:
        return DAYS.index(text)
    return int(text) if text.isdecimal() and int(text) < len(DAYS) else None


def named_days(numbers: frozenset[int]) -> str:
    """Return weekdays by name: `mon-fri`, `mon,wed`; `*` for all."""
    if len(numbers) == len(DAYS):
        return "*"
    parts = []
    day = 0
    while day < len(DAYS):
        end = day
        while end + 1 in numbers and day in numbers:
            end += 1
        if day in numbers:
            is_range = end - day > 1
            parts += [f"{DAYS[day]}-{DAYS[end]}"] if is_range else [DAYS[one] for one in range(day, end + 1)]
        day = end + 1
    return ",".join(parts)
