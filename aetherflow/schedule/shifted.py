"""Move the ticks of closed dates to the next or previous open date of a calendar, at the same time of day.

Ticks that come to one time of one date are one tick. Only local times are moved: an instant (an interval of
elapsed time, a moment with an offset) has no time of day that it could keep.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Literal

from aetherflow.schedule.calendar import MOST_DAYS, Calendar, is_open, next_open_date, why_closed
from aetherflow.schedule.dst import DstRule
from aetherflow.schedule.trigger_kind import LocalTrigger
from aetherflow.schedule.zone import DAY

Direction = Literal["next_working_day", "previous_working_day"]

_EPOCH = date(1970, 1, 1).toordinal()


class Shifted(LocalTrigger, frozen=True):
    """The local times of a trigger, moved to open dates."""

    base: LocalTrigger
    calendar: Calendar
    direction: Direction

    def find(self, local: int) -> int | None:
        """Return the first matching local time at or after `local`; None if there is none."""
        day = _open_from(self.calendar, local // DAY)
        while day is not None:
            times = self._times(day, max(0, local - day * DAY), DAY, only_first=True)
            if times:
                return day * DAY + times[0]
            day = self._following(day)
        return None

    def count(self, start: int, end: int) -> int:
        """Return how many local times in [start, end) match."""
        day, total = _open_from(self.calendar, start // DAY), 0
        while day is not None and day * DAY < end:
            low, high = max(0, start - day * DAY), min(DAY, end - day * DAY)
            if self.base.times_alike:
                source = self._first_source(day)
                total += 0 if source is None else self.base.count(source * DAY + low, source * DAY + high)
            else:
                total += len(self._times(day, low, high))
            day = self._following(day)
        return total

    def _times(self, day: int, low: int, high: int, *, only_first: bool = False) -> list[int]:
        """Return the times of an open date in [low, high), sorted; with `only_first` the first of them."""
        first, last = _sources(self.calendar, self.direction, day)
        found: set[int] = set()
        source = first
        while source <= last:
            at = self.base.find(source * DAY + low)
            if at is None:
                break
            if at // DAY > source:
                source = at // DAY
                if at % DAY < low or at % DAY >= high:
                    at = self.base.find(source * DAY + low)
                if source > last or at is None or at // DAY > source:
                    continue
            while at is not None and at < source * DAY + high:
                found.add(at % DAY)
                at = None if only_first else self.base.find(at + 1)
            if only_first and found and self.base.times_alike:
                break
            source += 1
        return sorted(found)[: 1 if only_first else None]

    def _first_source(self, day: int) -> int | None:
        """Return the first date with ticks that come to an open date."""
        first, last = _sources(self.calendar, self.direction, day)
        at = self.base.find(first * DAY)
        return at // DAY if at is not None and at // DAY <= last else None

    def _following(self, day: int) -> int | None:
        """Return the next open date to which ticks come."""
        _, last = _sources(self.calendar, self.direction, day)
        at = self.base.find((last + 1) * DAY)
        if at is None:
            return None
        if self.direction == "next_working_day":
            return _open_from(self.calendar, at // DAY)
        return _open_before(self.calendar, at // DAY)

    def why_moved(self, day: int) -> str:
        """Return why times of the trigger are not on their date, in days since 1970, and where they are."""
        is_next = self.direction == "next_working_day"
        open_day = _open_from(self.calendar, day) if is_next else _open_before(self.calendar, day)
        why = why_closed(self.calendar, date.fromordinal(day + _EPOCH))
        if open_day is None:
            return f"{why}, and no open date follows"
        return f"{why}, and shift moves its ticks to {date.fromordinal(open_day + _EPOCH)}"

    def note(self, local: int) -> str:
        """Say from which dates a tick was moved."""
        day = local // DAY
        first, last = _sources(self.calendar, self.direction, day)
        moved = [
            str(date.fromordinal(source + _EPOCH))
            for source in range(first, last + 1)
            if source != day and self.base.find(source * DAY + local % DAY) == source * DAY + local % DAY
        ]
        before = self.base.note(local)
        said = f"moved from {', '.join(moved)}" if moved else ""
        return "; ".join(text for text in (before, said) if text)

    @property
    def usual_dst(self) -> DstRule:
        """That of what is moved."""
        return self.base.usual_dst


def _open_from(calendar: Calendar, day: int) -> int | None:
    if day + _EPOCH >= date.max.toordinal():
        return None
    found = next_open_date(calendar, date.fromordinal(max(1, day + _EPOCH)))
    return None if found is None else found.toordinal() - _EPOCH


@lru_cache(maxsize=4096)
def _open_before(calendar: Calendar, day: int) -> int:
    """Return the last open date up to a date; that date itself if there is none in a hundred years."""
    at = day
    while day - at < MOST_DAYS and at + _EPOCH > 1:
        if is_open(calendar, date.fromordinal(at + _EPOCH)):
            return at
        at -= 1
    return day


@lru_cache(maxsize=16_384)  # ten years of working days of some calendars
def _sources(calendar: Calendar, direction: Direction, day: int) -> tuple[int, int]:
    """Return the first and the last of the dates whose ticks come to an open date; it is one of them."""
    if direction == "next_working_day":
        before = _open_before(calendar, day - 1)
        is_first = before == day - 1 and not is_open(calendar, date.fromordinal(before + _EPOCH))
        return (day - MOST_DAYS if is_first else before + 1), day
    following = _open_from(calendar, day + 1)
    return day, (day + MOST_DAYS if following is None else following - 1)
