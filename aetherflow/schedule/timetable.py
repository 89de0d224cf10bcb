"""The timetable of an item: its trigger in a zone, under a DST rule, on the dates of a calendar, with jitter.

    table = Timetable("nightly", parse_cron("30 2 * * *"), load_zone("Europe/Berlin"))
    next_tick(table, after)          # the scheduled instant, in UTC
    due_at(table, tick)              # that plus the tick's jitter: when to fire

A tick is the name of a firing: what is stored, and what is unique. All of this is pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile

import msgspec

from aetherflow.schedule.calendar import Calendar, is_open, local_date, next_closed, next_open
from aetherflow.schedule.dst import DstRule, comes_again, first_in_gap
from aetherflow.schedule.jitter import jitter
from aetherflow.schedule.trigger_kind import Trigger
from aetherflow.schedule.zone import Zone, instant, seconds

MOST_TRIES = 4000
"""How often trigger and calendar may miss each other before the search gives up."""


class Timetable(msgspec.Struct, frozen=True):
    """When an item ticks.

    Attributes:
        item: the item's id; jitter depends on it.
        trigger: see `parse_cron`, `parse_interval`, `parse_moment`.
        zone: see `load_zone`.
        rule: the declared DST rule, see `rule_for`; None is the usual one of such a trigger.
        calendar: the dates on which the item may tick; None is every date.
        jitter_seconds: the most by which a tick fires late.
    """

    item: str
    trigger: Trigger
    zone: Zone
    rule: DstRule | None = None
    calendar: Calendar | None = None
    jitter_seconds: int = 0

    @property
    def dst(self) -> DstRule:
        """The rule that holds."""
        return self.rule or self.trigger.usual_dst


def next_tick(table: Timetable, after: datetime) -> datetime | None:
    """Return the first tick later than an aware time, in UTC; None if there is none."""
    found = next_second(table, seconds(after))
    return None if found is None else instant(found)


def ticks(table: Timetable, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the ticks later than `after`, up to and including `until`, in UTC."""
    tick = next_tick(table, after)
    while tick is not None and tick <= until:
        yield tick
        tick = next_tick(table, tick)


def due_at(table: Timetable, tick: datetime) -> datetime:
    """Return when a tick fires: its own time and its jitter."""
    return tick + timedelta(seconds=jitter(table.item, seconds(tick), table.jitter_seconds))


def next_second(table: Timetable, after: int) -> int | None:
    """Return the first tick later than `after`, both in seconds since 1970; None if there is none."""
    rule = table.dst
    for _ in range(MOST_TRIES):
        tick = table.trigger.next_after(table.zone, rule, after)
        if tick is None or table.calendar is None:
            return tick
        opens = next_open(table.calendar, table.zone, tick)
        if opens is None or opens == tick:
            return opens
        after = opens - 1
    return None


def count_ticks(table: Timetable, start: int, end: int) -> int:
    """Return how many ticks lie in [start, end), in seconds since 1970, without looking at each."""
    rule, total = table.dst, 0
    if table.calendar is None:
        return table.trigger.count_between(table.zone, rule, start, end)
    while start < end:
        opens = next_open(table.calendar, table.zone, start)
        if opens is None or opens >= end:
            break
        start = next_closed(table.calendar, table.zone, opens, end)
        total += table.trigger.count_between(table.zone, rule, opens, start)
    return total


def latest_ticks(table: Timetable, start: int, end: int, most: int) -> list[int]:
    """Return the last ticks of [start, end), `most` at most, oldest first, without looking at the others."""
    if most < 1 or end <= start:
        return []
    reach = 60
    while end - reach > start and count_ticks(table, end - reach, end) < most:
        reach *= 4
    low, high = max(start, end - reach), end  # from low on there are enough, or all; from high on too few
    if count_ticks(table, low, end) > most:
        while high - low > 1:
            middle = (low + high) // 2
            if count_ticks(table, middle, end) >= most:
                low = middle
            else:
                high = middle
    return list(takewhile(lambda tick: tick < end, _seconds_after(table, low - 1)))


def _seconds_after(table: Timetable, after: int) -> Iterator[int]:
    tick = next_second(table, after)
    while tick is not None:
        yield tick
        tick = next_second(table, tick)


def notes(table: Timetable, tick: datetime) -> tuple[str, ...]:
    """Return notes about a tick: what `H` became, moved out of a gap, first or second of two local times."""
    found = _clock_notes(table, tick)
    at = seconds(tick)
    note = table.trigger.note(at + table.zone.period(at).offset)
    return (*found, note) if note else found


def _clock_notes(table: Timetable, tick: datetime) -> tuple[str, ...]:
    at, trigger = seconds(tick), table.trigger.local
    if trigger is None:
        return ()
    find, period = trigger.find, table.zone.period(at)
    local = at + period.offset
    found = []
    missed = first_in_gap(find, period, table.dst) if at == period.start else None
    if missed is not None:
        what = "also stands for" if find(local) == local else "moved out of the gap:"
        found.append(f"{what} {instant(missed):%H:%M:%S}, which does not exist on {instant(missed):%Y-%m-%d}")
    elif local < period.start + period.before:
        found.append(f"second of two {instant(local):%H:%M:%S}")
    elif comes_again(table.zone, at):
        found.append(f"first of two {instant(local):%H:%M:%S}")
    return tuple(found)


def closed_ticks(table: Timetable, after: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the ticks that the calendar takes away (see `why_closed`), as `ticks` yields the others."""
    if table.calendar is None:
        return
    for tick in ticks(msgspec.structs.replace(table, calendar=None), after, until):
        if not is_open(table.calendar, local_date(table.zone, seconds(tick))):
            yield tick
