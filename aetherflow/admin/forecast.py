"""Compute the firings of a scheduler file: the next ones, or all of a past or future period."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from statistics import median
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.errors import UsageError
from aetherflow.schedule.calendar import local_date, why_closed
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import closed_ticks, count_ticks, due_at, next_tick, notes, ticks
from aetherflow.schedule.zone import seconds

MOST_FIRINGS = 100_000
"""How many firings one simulation may have: more is a mistake in the dates."""


class Forecast(msgspec.Struct, frozen=True):
    """A firing to come: when in UTC and on the item's own clocks, and what is special about it.

    Attributes:
        due: the scheduled time with its jitter.
        runs: false if the calendar or the overlap rule keeps it from running.
    """

    item: str
    scheduled: datetime
    local: str
    due: datetime
    runs: bool = True
    notes: list[str] = []


def next_firings(schedule: Schedule, after: datetime, count: int) -> list[Forecast]:
    """Return the next firings of all items that are enabled, in the order of their times."""

    def firings(number: int, item: Item) -> Iterator[tuple[datetime, int, Item]]:
        tick = next_tick(item.table, after)
        while tick is not None:
            yield tick, number, item
            tick = next_tick(item.table, tick)

    merged = heapq.merge(*(firings(number, item) for number, item in enumerate(schedule.enabled)))
    return [_forecast(item, tick) for tick, _, item in islice(merged, count)]


def simulate(
    schedule: Schedule, begin: datetime, end: datetime, durations: Mapping[str, list[float]]
) -> list[Forecast]:
    """Return every firing from `begin` until before `end`, with what would keep it from running.

    Args:
        schedule: the file.
        begin: the first instant.
        end: the instant after the last.
        durations: of recorded runs, by item, in seconds.

    Raises:
        UsageError: there are too many firings, or `end` is not after `begin`.
    """
    if end <= begin:
        raise UsageError("--to is not later than --from", hint="give an instant after --from")
    open_tables = [msgspec.structs.replace(item.table, calendar=None) for item in schedule.enabled]
    if sum(count_ticks(table, seconds(begin), seconds(end)) for table in open_tables) > MOST_FIRINGS:
        raise UsageError(
            f"there are more than {MOST_FIRINGS} firings in that time", hint="give a shorter time"
        )
    found: list[Forecast] = []
    for item in schedule.enabled:
        taken = _overlapped(item, _ticks(item, begin, end), durations.get(item.id, []))
        closed = (_closed(item, tick) for tick in closed_ticks(item.table, _before(begin), _before(end)))
        found += [*taken, *closed]
    return sorted(found, key=lambda forecast: (forecast.scheduled, forecast.item))


def zone_of(schedule: Schedule) -> ZoneInfo:
    """Return the zone of a file."""
    return ZoneInfo(schedule.spec.timezone or "UTC")


def _ticks(item: Item, begin: datetime, end: datetime) -> Iterator[datetime]:
    return ticks(item.table, _before(begin), _before(end))


def _before(at: datetime) -> datetime:
    return at - timedelta(seconds=1)


def _forecast(item: Item, tick: datetime, more_notes: Iterable[str] = (), *, runs: bool = True) -> Forecast:
    local = tick.astimezone(ZoneInfo(item.zone)).isoformat(timespec="seconds")
    described = [*notes(item.table, tick), *more_notes]
    if item.spec.after:
        described.append(f"after {', '.join(item.spec.after)}")
    return Forecast(item.id, tick, local, due_at(item.table, tick), runs, described)


def _closed(item: Item, tick: datetime) -> Forecast:
    calendar = item.table.calendar
    why = why_closed(calendar, local_date(item.table.zone, seconds(tick))) if calendar else ""
    return _forecast(item, tick, [why], runs=False)


def _overlapped(item: Item, scheduled: Iterable[datetime], durations: list[float]) -> Iterator[Forecast]:
    """Yield the firings with what the overlap rule does, if runs take as long as they did (their median)."""
    usual = median(durations) if durations else 0.0
    ends: list[datetime] = []
    for tick in scheduled:
        due = due_at(item.table, tick)
        ends = [end for end in ends if end > due]
        if not usual or len(ends) < item.spec.max_instances:
            ends.append(due + timedelta(seconds=usual))
            yield _forecast(item, tick)
            continue
        took = f"runs take {usual:.0f} s"
        match item.spec.overlap:
            case "skip":
                yield _forecast(item, tick, [f"skipped: the one before has not ended ({took})"], runs=False)
            case "cancel_running":
                ends = [*sorted(ends)[1:], due + timedelta(seconds=usual)]
                yield _forecast(item, tick, [f"cancels the one before ({took})"])
            case _:
                begin = sorted(ends)[-item.spec.max_instances]
                ends.append(begin + timedelta(seconds=usual))
                wait = (begin - due).total_seconds()
                yield _forecast(item, tick, [f"waits {wait:.0f} s for the one before ({took})"])
