"""Windows of an item (`not_between`): periods of the local day in which it does not start. Pure.

An instant is in a window if the clocks of the item's zone then show a time of it. Of a time that comes twice
both are in it; of one that clocks skip nothing is. A window over midnight belongs to the day on which it
begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import msgspec

from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.weekdays import weekday_numbers
from aetherflow.schedule.zone import DAY, Zone
from aetherflow.spec.suggest import quoted

EVERY_DAY = frozenset(range(7))
_WINDOW = re.compile(
    r"\s*(?:(?P<days>[^\d\s](?:[^\d]*[^\d\s])?)\s+)?"
    r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*-\s*(\d{1,2}):([0-5]\d)(?::([0-5]\d))?\s*"
)
_HINT = (
    "write 22:00-23:30, or 22:00-06:00 over midnight; with days, sat,sun 00:00-24:00 or mon-fri 08:00-18:00"
)
_THURSDAY = 3
"""The weekday of 1970-01-01."""
_LONGEST = 15 * DAY
"""A span that lasts longer, since windows follow each other without a gap, is cut here."""


class Window(msgspec.Struct, frozen=True):
    """A period of the local day.

    Attributes:
        text: as the file has it.
        begin: its first second in the day on which it begins.
        end: the second after it; not more than `begin` if it ends on the day after.
        weekdays: the days on which it begins, from Monday = 0.
        calendar: the calendar that has it; empty if the item has it itself.
    """

    text: str
    begin: int
    end: int
    weekdays: frozenset[int] = EVERY_DAY
    calendar: str = ""

    def __str__(self) -> str:
        of = f" of the calendar {quoted(self.calendar)}" if self.calendar else ""
        return f"the window {self.text}{of} (not_between)"


Windows = tuple[Window, ...]


def parse_window(text: str, calendar: str = "") -> Window:
    """Read `22:00-23:30`, `22:00-06:00` (over midnight) or `sat,sun 00:00-24:00`.

    Raises:
        ScheduleProblem: it is no period of the day.
    """
    read = _WINDOW.fullmatch(text)
    if read is None:
        raise ScheduleProblem(
            f"not_between: {quoted(text)} is no period of the day", hint=_HINT, code="AF441"
        )
    _, *numbers = read.groups()
    begin, end = (_second(text, *part) for part in (numbers[:3], numbers[3:]))
    if begin in (DAY, end):
        what = "begins at 24:00" if begin == DAY else "begins and ends at the same time"
        raise ScheduleProblem(
            f"not_between: {quoted(text)} {what}",
            hint="the whole day is 00:00-24:00, and midnight is 00:00 where a window begins",
            code="AF441",
        )
    days = [part.strip() for part in (read["days"] or "").split(",") if part.strip()]
    chosen = frozenset(number for day in days for number in weekday_numbers("not_between", day, "AF441"))
    return Window(" ".join(text.split()), begin, end, chosen or EVERY_DAY, calendar)


def _second(text: str, hour: str, minute: str, second: str | None) -> int:
    found = int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    if found > DAY:
        raise ScheduleProblem(
            f"not_between: {quoted(text)}: a day has no {hour}:{minute}", hint=_HINT, code="AF441"
        )
    return found


def window_at(windows: Windows, zone: Zone, at: int) -> Window | None:
    """Return the window that an instant, in seconds since 1970, is in; None if it is in none."""
    local = at + zone.period(at).offset
    day, second = divmod(local, DAY)
    for one in windows:
        today, before = ((day + ago + _THURSDAY) % 7 in one.weekdays for ago in (0, -1))
        if one.begin < one.end:
            inside = today and one.begin <= second < one.end
        else:
            inside = (today and second >= one.begin) or (before and second < one.end)
        if inside:
            return one
    return None


def spans(windows: Windows, zone: Zone, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of [start, end) in windows, as first second and second after; oldest first.

    Windows that overlap or follow each other are one span.
    """
    begun: tuple[int, int] | None = None
    for low, high in _pieces(_week(windows), zone, start, end):
        if begun is not None and low <= begun[1] and high - begun[0] <= _LONGEST:
            begun = begun[0], high
            continue
        if begun is not None:
            yield begun
        begun = low, high
    if begun is not None:
        yield begun


def window_end(windows: Windows, zone: Zone, at: int) -> int:
    """Return the first second at or after an instant that is in no window, in seconds since 1970."""
    found = next(spans(windows, zone, at, at + _LONGEST), None)
    return found[1] if found is not None and found[0] <= at else at


def leave_no_time(windows: Windows, zone: Zone) -> bool:
    """Whether every time is in a window; a week shows it, since windows come again every week."""
    return bool(windows) and window_end(windows, zone, 0) > 8 * DAY


def _pieces(
    week: tuple[tuple[tuple[int, int], ...], ...], zone: Zone, start: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yield what of [start, end) is in windows, cut at midnight and where clocks change."""
    at = start
    while at < end:
        period = zone.period(at)
        until = min(end, period.end)
        first, last = (second + period.offset for second in (at, until))
        for day in range(first // DAY, (last - 1) // DAY + 1):
            for low, high in week[(day + _THURSDAY) % 7]:
                begin, stop = max(first, day * DAY + low), min(last, day * DAY + high)
                if begin < stop:
                    yield begin - period.offset, stop - period.offset
        at = until


@lru_cache(maxsize=1024)
def _week(windows: Windows) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return what of each weekday is in windows, from Monday on: sorted, without overlaps."""
    found: list[list[tuple[int, int]]] = [[] for _ in EVERY_DAY]
    for one in windows:
        for day in one.weekdays:
            if one.begin < one.end:
                found[day].append((one.begin, one.end))
            else:
                found[day].append((one.begin, DAY))
                found[(day + 1) % 7].append((0, one.end))
    return tuple(_joined(sorted(day)) for day in found)


def _joined(pieces: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for low, high in pieces:
        if joined and low <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(high, joined[-1][1])
        elif low < high:
            joined.append((low, high))
    return tuple(joined)
