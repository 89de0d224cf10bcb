"""Compute the firings of a scheduler file: the next ones, or all of a past or future period."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from statistics import median
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from aetherflow.admin.followed_days import WhyHeld, held_ticks
from aetherflow.admin.stopped_ticks import why_later, why_stopped
from aetherflow.errors import UsageError
from aetherflow.schedule.calendar import local_date, why_closed
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import due_at, latest_ticks, next_tick, notes, ticks
from aetherflow.schedule.zone import instant, seconds
from aetherflow.scheduler.overlap import QUEUE_MAXIMUM
from aetherflow.spec.suggest import did_you_mean
from aetherflow.store.pauses import Pause


class Forecast(msgspec.Struct, frozen=True):
    """A firing to come: when in UTC and on the item's own clocks, and what is special about it.

    Attributes:
        due: the scheduled time with its jitter.
        runs: false if the calendar, an item that it follows, or the overlap rule keeps it from running.
    """

    item: str
    scheduled: datetime
    local: str
    due: datetime
    runs: bool = True
    notes: list[str] = []


def next_firings(
    schedule: Schedule, after: datetime, count: int, pauses: Sequence[Pause] = ()
) -> list[Forecast]:
    """Return the next firings of all items that are enabled, in the order of their times."""
    why_held = held_ticks(schedule, pauses)

    def firings(number: int, item: Item) -> Iterator[tuple[datetime, int, Item]]:
        tick = next_tick(item.table, after)
        while tick is not None:
            yield tick, number, item
            tick = next_tick(item.table, tick)

    merged = heapq.merge(*(firings(number, item) for number, item in enumerate(schedule.enabled)))
    return [
        _not_run(item, tick, pauses, why_held) or _forecast(item, tick, _delays(item, tick, pauses))
        for tick, _, item in islice(merged, count)
    ]


def simulate(
    schedule: Schedule,
    begin: datetime,
    end: datetime,
    durations: Mapping[str, list[float]],
    only: Collection[str] = (),
    pauses: Sequence[Pause] = (),
) -> Iterator[Forecast]:
    """Return every firing from `begin` until before `end`, with what would keep it from running.

    They are computed one by one, in the order of their times: a long period needs no more memory.

    Args:
        schedule: the file.
        begin: the first instant.
        end: the instant after the last.
        durations: of recorded runs, by item, in seconds.
        only: the items to show; empty is all of them.
        pauses: those of the schedule.

    Raises:
        UsageError: `end` is not after `begin`, or there is no such item.
    """
    if end <= begin:
        raise UsageError("--to is not later than --from", hint="give an instant after --from")
    for name in only:
        if name not in schedule.items:
            hint = did_you_mean(name, schedule.items) or f"the items are {', '.join([*schedule.items][:20])}"
            raise UsageError(f"there is no item {name!r} in {schedule.file}", hint=hint)
    why_held = held_ticks(schedule, pauses)
    chosen = [item for item in schedule.enabled if not only or item.id in only]
    streams = (_firings(item, begin, end, durations.get(item.id, []), why_held, pauses) for item in chosen)
    return heapq.merge(*streams, key=lambda forecast: (forecast.scheduled, forecast.item))


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Return the zone of a file."""
    return ZoneInfo(schedule.spec.timezone or "UTC")


def _before(at: datetime) -> datetime:
    return at - timedelta(seconds=1)


def _forecast(item: Item, tick: datetime, more_notes: Iterable[str] = (), *, runs: bool = True) -> Forecast:
    local = tick.astimezone(ZoneInfo(item.zone)).isoformat(timespec="seconds")
    described = [*notes(item.table, tick), *more_notes]
    if item.after:
        described += [f"after {', '.join(map(str, item.after))}", *_last_ones(item, tick)]
    return Forecast(item.id, tick, local, due_at(item.table, tick), runs, described)


def _last_ones(item: Item, tick: datetime) -> Iterator[str]:
    """Yield the last tick of each item whose week or month must be over, where that comes later."""
    for one in item.after:
        begin, end = map(seconds, item.span_of(one, tick))
        table = item.follows.get(one.item) if one.needs_all_ticks else None
        last = latest_ticks(table, max(begin, seconds(tick) + 1), end, 1) if table is not None else []
        if last:
            local = instant(last[0]).astimezone(ZoneInfo(item.zone)).isoformat(timespec="seconds")
            yield f"the last {one.item} {item.when(one, tick)} is that of {local}"


def _not_run(item: Item, tick: datetime, pauses: Sequence[Pause], why_held: WhyHeld) -> Forecast | None:
    """Return a tick that a window, a pause or an item that it follows keeps from running."""
    if why := why_stopped(item, tick, pauses):
        return _forecast(item, tick, [f"skipped: {why}"], runs=False)
    why = why_held(item, tick)
    return _forecast(item, tick, [f"missed: {why}"], runs=False) if why else None


def _delays(item: Item, tick: datetime, pauses: Sequence[Pause]) -> list[str]:
    later = why_later(item, tick, pauses)
    return [f"decided by catch_up {later}"] if later else []


def _firings(
    item: Item,
    begin: datetime,
    end: datetime,
    durations: list[float],
    why_held: WhyHeld,
    pauses: Sequence[Pause],
) -> Iterator[Forecast]:
    """Yield the firings of an item, if runs take as long as they did (their median)."""
    calendar = item.table.calendar
    usual = median(durations) if durations else 0.0
    ends: list[datetime] = []
    for tick in ticks(replace(item.table, calendar=None), _before(begin), _before(end)):
        closed = why_closed(calendar, local_date(item.table.zone, seconds(tick))) if calendar else ""
        if closed:
            yield _forecast(item, tick, [closed], runs=False)
        elif stopped := _not_run(item, tick, pauses, why_held):
            yield stopped
        elif later := _delays(item, tick, pauses):
            yield _forecast(item, tick, later)
        else:
            yield _overlapped(item, tick, ends, usual)


def _overlapped(item: Item, tick: datetime, ends: list[datetime], usual: float) -> Forecast:
    """Return a firing with what the overlap rule does to it; `ends`, those of the runs before, change."""
    due = due_at(item.table, tick)
    ends[:] = sorted(end for end in ends if end > due)
    if not usual or len(ends) < item.spec.max_instances:
        ends += [due + timedelta(seconds=usual)] if usual else []
        return _forecast(item, tick)
    took = f"runs take {usual:.0f} s"
    if item.spec.overlap == "skip":
        return _forecast(item, tick, [f"skipped: the one before has not ended ({took})"], runs=False)
    if item.spec.overlap == "cancel_running":
        ends[:] = [*ends[1:], due + timedelta(seconds=usual)]
        return _forecast(item, tick, [f"cancels the one before ({took})"])
    if len(ends) >= item.spec.max_instances + QUEUE_MAXIMUM:
        return _forecast(item, tick, [f"skipped: {QUEUE_MAXIMUM} firings wait already ({took})"], runs=False)
    begin = ends[-item.spec.max_instances]
    ends.append(begin + timedelta(seconds=usual))
    wait = (begin - due).total_seconds()
    return _forecast(item, tick, [f"waits {wait:.0f} s for the one before ({took})"])
