"""Intervals that begin at an anchor: hours and minutes are elapsed time, days and weeks keep the local time.

`every: 6h` is six hours of elapsed time, whatever clocks do. `every: 2w` is every second week at the time of
day of the anchor on the item's clocks; the DST rule of the item applies to it as to a fixed time of cron. The
anchor is the first tick: nothing ticks before it.
"""

from __future__ import annotations

import re

from aetherflow.schedule.dst import FIXED_TIMES
from aetherflow.schedule.invalid_value import ScheduleProblem
from aetherflow.schedule.trigger import LAST_TICK, Interval, parse_moment
from aetherflow.schedule.trigger_kind import LocalTrigger, Trigger
from aetherflow.schedule.zone import DAY, TWO_DAYS, Zone
from aetherflow.spec.duration import parse_duration
from aetherflow.spec.suggest import quoted

_WHOLE_DAYS = re.compile(r"(?:\d+w)?(?:\d+d)?")
_LONGEST = 36_600 * DAY


class DayInterval(LocalTrigger, frozen=True, gc=False):
    """Every so many days at one local time, from `start` on; both in seconds on the wall clock."""

    every: int
    start: int

    def find(self, local: int) -> int | None:
        """Return the first matching local time at or after `local`."""
        found = self.start + max(0, -((self.start - local) // self.every)) * self.every
        return found if found < LAST_TICK else None

    def count(self, start: int, end: int) -> int:
        """Return how many local times in [start, end) match."""
        first = max(0, -((self.start - start) // self.every))
        return max(0, -((self.start - end) // self.every) - first)

    @property
    def times_alike(self) -> bool:
        """It has one time of day."""
        return True


def parse_every(text: str) -> tuple[int, bool]:
    """Return the seconds of `every`, and whether they are days on the wall clock.

    Raises:
        ScheduleProblem: it is no duration, not whole seconds, or days with hours.
    """
    text = text.strip()
    try:
        length = parse_duration(text)
    except ValueError as error:
        raise ScheduleProblem(
            f"interval: every: {quoted(text)} is no duration",
            hint="write a number with a unit: 2w, 3d, 6h, 90m",
            code="AF578",
        ) from error
    if not 1 <= length <= _LONGEST or length != int(length):
        raise ScheduleProblem(
            f"interval: every: {quoted(text)} is not whole seconds from 1 to a hundred years",
            hint="write 2w, 3d, 6h or 90m",
            code="AF578",
        )
    keeps_local_time = _WHOLE_DAYS.fullmatch(text) is not None
    if not keeps_local_time and re.search("[dw]", text):
        raise ScheduleProblem(
            f"interval: every: {quoted(text)} mixes days, which keep the local time, with elapsed time",
            hint=f"write {int(length) // 3600}h for elapsed time, or whole days or weeks",
            code="AF578",
        )
    return int(length), keeps_local_time


def anchored(every: tuple[int, bool], anchor: str, zone: Zone) -> Trigger:
    """Return an interval from an anchor, which is a local time of the zone or has an offset.

    Raises:
        ScheduleProblem: the anchor is no date with a time of day.
    """
    length, keeps_local_time = every
    moment = parse_moment(anchor, "interval: anchor")
    if moment.offset is None:
        instant = moment.next_after(zone, FIXED_TIMES, moment.at - TWO_DAYS)
        at, local = moment.at if instant is None else instant, moment.at
    else:
        at = moment.at - moment.offset
        local = at + zone.period(at).offset
    return DayInterval(length, local) if keeps_local_time else Interval(length, at)
