"""Recurrence rules of iCalendar (RFC 5545): their local times, found and counted year by year.

A rule gives dates and times of day. With BYSETPOS the times depend on the date; else every date has the same
times, and the two are counted apart. The times are local: the DST rule of the item applies as to a fixed time
of cron. `rrule_text` reads the text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from aetherflow.schedule.rrule_years import YearlyRule, first_second, local_times_of, year_of
from aetherflow.schedule.trigger_kind import LocalTrigger
from aetherflow.schedule.zone import DAY, LAST_YEAR

MOST_YEARS = 100
"""A search for the next date ends after so many years without one."""


class Rrule(LocalTrigger, frozen=True):
    """A recurrence rule; all times are local, in seconds since 1970.

    Attributes:
        text: as it was written.
        rule: its dates (with BYSETPOS, its times).
        times: the seconds of each of its days, sorted; only 0 with BYSETPOS.
        start: DTSTART: nothing is before it, except RDATEs.
        until: the last time that may match.
        extra: times beside those of the rule (RDATE), sorted.
        removed: times of the rule that do not count (EXDATE), sorted.
    """

    text: str
    rule: YearlyRule
    times: tuple[int, ...]
    start: int
    until: int | None = None
    extra: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def find(self, local: int) -> int | None:
        """Return the first matching local time at or after `local`; None if there is none in MOST_YEARS."""
        found = self.find_by_rule(local)
        while found is not None and found in self.removed:
            found = self.find_by_rule(found + 1)
        place = bisect_left(self.extra, local)
        more = self.extra[place] if place < len(self.extra) else None
        return min((one for one in (found, more) if one is not None), default=None)

    def find_by_rule(self, local: int) -> int | None:
        """Return what `find` does, without RDATE and EXDATE."""
        local = max(local, self.start)
        first = year_of(local)
        last = min(first + MOST_YEARS, LAST_YEAR)
        for year in range(first, last + 1):
            if self.until is not None and self.until < max(local, first_second(year)):
                return None
            bases = local_times_of(self.rule, year)
            place = bisect_left(bases, local - self.times[-1])
            if place < len(bases):
                base = bases[place]
                found = base + self.times[bisect_left(self.times, local - base)]
                return found if self.until is None or found <= self.until else None
        return None

    def count(self, start: int, end: int) -> int:
        """Return how many local times in [start, end) match."""
        if end <= start:
            return 0
        more = bisect_left(self.extra, end) - bisect_left(self.extra, start)
        less = bisect_left(self.removed, end) - bisect_left(self.removed, start)
        return self.count_by_rule(start, end) + more - less

    def count_by_rule(self, start: int, end: int) -> int:
        """Return what `count` does, without RDATE and EXDATE."""
        start = max(start, self.start)
        end = end if self.until is None else min(end, self.until + 1)
        if end <= start:
            return 0
        years = range(year_of(start), min(year_of(end - 1), LAST_YEAR) + 1)
        return sum(self._before(year, end) - self._before(year, start) for year in years)

    def _before(self, year: int, local: int) -> int:
        """Return how many times the rule has in a year before a local time."""
        bases = local_times_of(self.rule, year)
        place = bisect_right(bases, local)
        if not place:
            return 0
        return (place - 1) * len(self.times) + bisect_left(self.times, local - bases[place - 1])

    @property
    def times_alike(self) -> bool:
        """Whether every date with a match has the same times of day."""
        return self.times != (0,) and not self.extra and not self.removed

    @property
    def shortest(self) -> int | None:
        """A day where it has one time a day; else it is not known."""
        return DAY if len(self.times) == 1 and self.times != (0,) and not self.extra else None
