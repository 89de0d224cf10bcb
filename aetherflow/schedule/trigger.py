"""Triggers: a cron expression, an interval, or one moment, behind the same functions.

An interval counts elapsed time from a fixed instant (1970-01-01 00:00 UTC, or a start that is given), so that
every server and every restart comes to the same ticks; no clock that is put forward or back concerns it. A
moment with an offset (`2026-12-24T18:00+01:00`) is an instant; one without is a local time to which the rule
of `dst` applies.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from aetherflow.schedule.cron import LAST_YEAR, Cron, count_local, next_local
from aetherflow.schedule.dst import (
    ELAPSED_TIME,
    FIXED_TIMES,
    CountLocal,
    DstRule,
    NextLocal,
    count_instants,
    next_instant,
)
from aetherflow.schedule.invalid_value import InvalidScheduleValue
from aetherflow.schedule.zone import EPOCH, Zone, seconds
from aetherflow.spec.schedule import DstGap, DstOverlap
from aetherflow.spec.suggest import quoted

_END = seconds(datetime(LAST_YEAR + 1, 1, 1, tzinfo=UTC))


class Interval(msgspec.Struct, frozen=True, gc=False):
    """Every so many seconds of elapsed time, from `start` on (in seconds since 1970, itself a tick)."""

    every: int
    start: int = 0


class Moment(msgspec.Struct, frozen=True, gc=False):
    """Once: at a local time (seconds since 1970 on the wall clock) or, if it has an offset, at an instant."""

    text: str
    local: int
    offset: int | None = None


Trigger = Cron | Interval | Moment


def parse_interval(interval_seconds: int, start: datetime | None = None) -> Interval:
    """Return an interval; `start` is aware.

    Raises:
        ScheduleProblem: it is not a second at least.
    """
    if interval_seconds < 1:
        raise InvalidScheduleValue(
            f"interval_seconds: {interval_seconds} is less than a second",
            hint="write a whole number of seconds, 1 at least",
            code="AF151",
        )
    return Interval(interval_seconds, seconds(start) if start else 0)


def parse_moment(text: str) -> Moment:
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
        raise InvalidScheduleValue(
            f"at: {quoted(text)} is no date with a time of day",
            hint="write 2026-12-24T18:00 for local time, or 2026-12-24T18:00+01:00 for an instant; "
            "every day at 18:00 is cron: '0 18 * * *'",
            code="AF151",
        ) from error
    return Moment(text, seconds(wall), None if offset is None else offset // timedelta(seconds=1))


def rule_for(trigger: Trigger, gap: DstGap | None = None, overlap: DstOverlap | None = None) -> DstRule:
    """Return the declared rule; the defaults are those of cron(8) of Debian for this kind of trigger."""
    usual = ELAPSED_TIME if isinstance(trigger, Cron) and trigger.is_wildcard else FIXED_TIMES
    return DstRule(gap or usual.gap, overlap or usual.overlap)


def next_at(trigger: Trigger, zone: Zone, rule: DstRule, after: int) -> int | None:
    """Return the first tick later than `after`, both in seconds since 1970; None if there is none.

    Pure: the same answer for the same arguments (and the same time zone database).
    """
    if isinstance(trigger, Interval):
        tick = trigger.start + max(0, (after - trigger.start) // trigger.every + 1) * trigger.every
        return tick if tick < _END else None
    if isinstance(trigger, Moment) and trigger.offset is not None:
        tick = trigger.local - trigger.offset
        return tick if tick > after else None
    return next_instant(local_times(trigger)[0], zone, rule, after)


def count_between(trigger: Trigger, zone: Zone, rule: DstRule, start: int, end: int) -> int:
    """Return how many ticks lie in [start, end), without looking at each."""
    if isinstance(trigger, Interval):
        first = max(0, -((trigger.start - start) // trigger.every))
        return max(0, -((trigger.start - end) // trigger.every) - first)
    if isinstance(trigger, Moment) and trigger.offset is not None:
        return int(start <= trigger.local - trigger.offset < end)
    find, count = local_times(trigger)
    return count_instants(find, count, zone, rule, start, end)


def local_times(trigger: Cron | Moment) -> tuple[NextLocal, CountLocal]:
    """Return how the local times of a trigger are found and counted."""
    if isinstance(trigger, Cron):
        return partial(next_local, trigger), partial(count_local, trigger)
    moment = trigger.local
    return lambda local: moment if local <= moment else None, lambda start, end: int(start <= moment < end)
