"""Triggers that need no expression: an interval and one moment; the rule that holds for a trigger.

An interval counts elapsed time from a fixed instant (1970-01-01 00:00 UTC, or a start that is given), so that
every server and every restart comes to the same ticks; no clock that is put forward or back concerns it. A
moment with an offset (`2026-12-24T18:00+01:00`) is an instant; one without is a local time to which the rule
of `dst` applies.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from aetherflow.schedule.dst import DstRule
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.trigger_kind import LocalTrigger, Trigger
from aetherflow.schedule.zone import EPOCH, LAST_YEAR, Zone, seconds
from aetherflow.spec.schedule import DstGap, DstOverlap
from aetherflow.spec.suggest import quoted

__all__ = ["Interval", "Moment", "Trigger", "parse_interval", "parse_moment", "rule_for"]

LAST_TICK = seconds(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))
"""No interval ticks from here on."""


class Interval(Trigger, frozen=True, gc=False):
    """Every so many seconds of elapsed time, from `start` on (in seconds since 1970, itself a tick)."""

    every: int
    start: int = 0

    def next_after(self, _zone: Zone, _rule: DstRule, after: int) -> int | None:
        """Return the first tick later than `after`; None if there is none."""
        tick = self.start + max(0, (after - self.start) // self.every + 1) * self.every
        return tick if tick < LAST_TICK else None

    def count_between(self, _zone: Zone, _rule: DstRule, start: int, end: int) -> int:
        """Return how many ticks lie in [start, end)."""
        first = max(0, -((self.start - start) // self.every))
        return max(0, -((self.start - end) // self.every) - first)

    @property
    def shortest(self) -> int | None:
        """The shortest time between two ticks."""
        return self.every


class Moment(LocalTrigger, frozen=True, gc=False):
    """Once: at a local time (seconds since 1970 on the wall clock) or, if it has an offset, at an instant."""

    text: str
    at: int
    offset: int | None = None

    def find(self, local: int) -> int | None:
        """Return the moment if it is not before `local`."""
        return self.at if local <= self.at else None

    def count(self, start: int, end: int) -> int:
        """Return 1 if the moment lies in [start, end)."""
        return int(start <= self.at < end)

    def next_after(self, zone: Zone, rule: DstRule, after: int) -> int | None:
        """Return its instant if that is later than `after`."""
        if self.offset is None:
            return super().next_after(zone, rule, after)
        tick = self.at - self.offset
        return tick if tick > after else None

    def count_between(self, zone: Zone, rule: DstRule, start: int, end: int) -> int:
        """Return 1 if its instant lies in [start, end)."""
        if self.offset is None:
            return super().count_between(zone, rule, start, end)
        return int(start <= self.at - self.offset < end)

    @property
    def local(self) -> LocalTrigger | None:
        """Itself, without an offset."""
        return self if self.offset is None else None

    @property
    def counts_when_past(self) -> bool:
        """A single moment in the past still counts: it is never forgotten."""
        return True

    @property
    def times_alike(self) -> bool:
        """It has one time."""
        return True


def parse_interval(interval_seconds: int, start: datetime | None = None) -> Interval:
    """Return an interval; `start` is aware.

    Raises:
        ScheduleProblem: it is not a second at least.
    """
    if interval_seconds < 1:
        raise ScheduleProblem(
            f"interval_seconds: {interval_seconds} is less than a second",
            hint="write a whole number of seconds, 1 at least",
            code="AF151",
        )
    return Interval(interval_seconds, seconds(start) if start else 0)


def parse_moment(text: str, key: str = "at") -> Moment:
    """Read `2026-12-24T18:00`, local in the zone of the item, or the same with an offset (`Z`, `+01:00`).

    Raises:
        ScheduleProblem: it is no date with a time of day.
    """
    try:
        read = datetime.fromisoformat(text.strip())
        is_date_only = read.time() == datetime.min.time() and ":" not in text and "T" not in text.upper()
        offset = read.utcoffset()
        wall = read.replace(tzinfo=UTC, microsecond=0)
        if is_date_only or not EPOCH <= wall < EPOCH.replace(year=LAST_YEAR):
            raise ValueError(text)  # noqa: TRY301 - reported below like any other text that is no moment
    except ValueError as error:
        raise ScheduleProblem(
            f"{key}: {quoted(text)} is no date with a time of day",
            hint="write 2026-12-24T18:00 for local time, or 2026-12-24T18:00+01:00 for an instant; "
            + _daily_hint(text.strip()),
            code="AF151" if key == "at" else "AF578",
        ) from error
    return Moment(text, seconds(wall), None if offset is None else offset // timedelta(seconds=1))


def _daily_hint(text: str) -> str:
    """Return how to write a time of each day: that of the text, if it is one."""
    found = re.fullmatch(r"(\d\d?):(\d\d)(?::00)?", text)
    hour, minute = (int(found[1]), int(found[2])) if found else (18, 0)
    return f"every day at {hour}:{minute:02} is cron: '{minute} {hour} * * *'"


def rule_for(trigger: Trigger, gap: DstGap | None = None, overlap: DstOverlap | None = None) -> DstRule:
    """Return the declared rule; the defaults are those of this kind of trigger."""
    usual = trigger.usual_dst
    return DstRule(gap or usual.gap, overlap or usual.overlap)
