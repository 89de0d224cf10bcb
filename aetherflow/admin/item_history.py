"""List what became of every tick: the firings that the database has, and the days that a calendar closed."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from aetherflow.admin.scheduled_items import KnownItem
from aetherflow.schedule.calendar import local_date, why_closed
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import count_ticks, latest_ticks
from aetherflow.schedule.zone import instant, seconds
from aetherflow.store.alerts import Alert, alerts_of
from aetherflow.store.firing_history import known_of, newest_firings
from aetherflow.store.firings import BY_HAND, Firing
from aetherflow.store.stored_times import seconds_between

CLOSED = "CLOSED"
"""The outcome of ticks that a calendar takes away; they have no row."""
OUTCOMES = ("WAITING", "QUEUED", "RUNNING", "SUCCESS", "FAILED", "CANCELLED", "SKIPPED", "MISSED", CLOSED)


class HistoryEntry(msgspec.Struct, frozen=True):
    """What became of a tick, or of several that share an entry; times are RFC 3339 in UTC.

    Attributes:
        local: the scheduled time on the clocks of the item, with the offset.
        ticks: how many ticks, up to this one, the entry is for.
        lag_seconds: how long after its time it started; None if it did not, or if a person requested it.
        duration_seconds: from its start to its end; None if it has not both.
        zone: the IANA name of the zone of the item; None if no file in force has it, so `local` is in UTC.
        alerts: what was late about it.
    """

    scheduler: str
    item: str
    scheduled_at: str
    local: str
    outcome: str
    cause: str
    reason: str
    run_id: str | None
    ticks: int
    lag_seconds: float | None
    duration_seconds: float | None
    zone: str | None = None
    alerts: list[Alert] = []


def history_of(
    raw: sqlite3.Connection,
    items: list[KnownItem],
    since: datetime | None,
    until: datetime | None,
    outcomes: Collection[str],
    limit: int,
    now: datetime,
) -> list[HistoryEntry]:
    """Return the newest entries of some items, `limit` at most, the newest last.

    Of each item, only as many rows are read as are returned.
    """
    streams: list[Iterator[HistoryEntry]] = []
    stored = [outcome for outcome in outcomes if outcome != CLOSED]
    if stored or not outcomes:
        for one in items:
            rows = newest_firings(raw, one.scheduler, one.name, since=since, until=until, outcomes=stored)
            streams.append(map(partial(_entry_of, one=one), rows))
    if not outcomes or CLOSED in outcomes:
        streams += [_closed(raw, one, since, until, now) for one in items if one.item]
    merged = heapq.merge(*streams, key=lambda entry: entry.scheduled_at, reverse=True)
    return _with_alerts(raw, list(islice(merged, limit))[::-1])


def _with_alerts(raw: sqlite3.Connection, entries: list[HistoryEntry]) -> list[HistoryEntry]:
    """Return entries, the oldest first, with the alerts about them."""
    first: dict[tuple[str, str], str] = {}
    for one in entries:
        first.setdefault((one.scheduler, one.item), one.scheduled_at)
    found: dict[tuple[str, str, str], list[Alert]] = {}
    for (scheduler, item), since in first.items():
        for alert in alerts_of(raw, scheduler, item, since, entries[-1].scheduled_at):
            found.setdefault((scheduler, item, alert.scheduled_at), []).append(alert)
    if not found:
        return entries
    return [
        replace(one, alerts=found.get((one.scheduler, one.item, one.scheduled_at), [])) for one in entries
    ]


def _entry_of(firing: Firing, one: KnownItem) -> HistoryEntry:
    """Return a firing as an entry."""
    started, finished = firing.started_at, firing.finished_at
    return HistoryEntry(
        firing.scheduler,
        firing.item_id,
        firing.scheduled_at,
        firing.scheduled.astimezone(ZoneInfo(one.zone)).isoformat(timespec="seconds"),
        firing.outcome,
        firing.cause,
        firing.reason,
        firing.run_id,
        firing.ticks,
        None if firing.cause in BY_HAND else _between(firing.due_at, started),
        _between(started, finished),
        one.zone if one.item else None,
    )


def _between(begin: str | None, end: str | None) -> float | None:
    seconds = seconds_between(begin, end)
    return None if seconds is None else round(seconds, 3)


def _closed(
    raw: sqlite3.Connection, one: KnownItem, since: datetime | None, until: datetime | None, now: datetime
) -> Iterator[HistoryEntry]:
    """Yield an entry for each closed day of an item on which it would tick, the newest first.

    They are computed from the file in force; without `since`, from the first known time of the item.
    """
    item = one.item
    if item is None or item.table.calendar is None or not item.spec.enabled:
        return
    known = known_of(raw, one.scheduler, one.name).since
    if known is None:
        return
    begin, end = since or known, min(now, until or now)
    for tick, ticks, why in closed_days(item, begin, end):
        at = instant(tick)
        yield HistoryEntry(
            one.scheduler,
            one.name,
            f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
            at.astimezone(ZoneInfo(item.zone)).isoformat(timespec="seconds"),
            CLOSED,
            "tick",
            why,
            None,
            ticks,
            None,
            None,
            item.zone,
        )


def closed_days(item: Item, begin: datetime, end: datetime) -> Iterator[tuple[int, int, str]]:
    """Yield the last tick, the number of ticks and the reason of each closed day, the newest day first."""
    calendar, zone = item.table.calendar, item.table.zone
    every = replace(item.table, calendar=None)
    low, high = seconds(begin), seconds(end)
    day, first = local_date(zone, high - 1), local_date(zone, low)
    while calendar is not None and low < high and day >= first:
        if why := why_closed(calendar, day):
            noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(item.zone)).astimezone(UTC)
            since, until = (seconds(at) for at in item.day_of(noon))
            since, until = max(low, since), min(high, until)
            if number := count_ticks(every, since, until):
                yield latest_ticks(every, since, until, 1)[0], number, why
        day -= timedelta(days=1)
