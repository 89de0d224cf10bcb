"""Watch for late ticks of items with a `deadline`, `on_late` or `notify`; report each once for all servers.

The ends of runs that messages are to report are found by the same look.

A look reads what may have changed since the last one: the open firings, those that were open then, and new
ones. Without watched items nothing is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.events.schedule_events import DID_NOT_RUN, AlertKind, FiringLate, ScheduleEvent
from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.clock_ahead import AHEAD_SECONDS
from aetherflow.scheduler.late_ticks import (
    Late,
    ended_without_run,
    is_watched,
    late_ticks,
    needs_usual,
    watches_lateness,
)
from aetherflow.scheduler.reported_ends import reported_end
from aetherflow.scheduler.server_clocks import StandsBy
from aetherflow.scheduler.standby import Standby
from aetherflow.spec.on_late import END_KINDS, is_late, reports
from aetherflow.store import alerts as rows
from aetherflow.store.alerts import Alert
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, open_firings, run_seconds
from aetherflow.store.pauses import Pause, pause_in_force, pauses_of, read_pauses
from aetherflow.store.projection import timestamp

LOOK_SECONDS = 1.0

LOOK_BACK = timedelta(minutes=10)
"""How far back a server that starts looks: for what ended just before another server died."""

MOST_ROWS_BACK = 5000

QUIET = timedelta(minutes=30)
"""How long the steps of `on_late` do not run again for the same kind of alert about an item."""

AHEAD = timedelta(seconds=AHEAD_SECONDS)
"""An alert that is later than now by more was stored by a clock that was wrong: it does not count."""


class AlertRun(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is stored, with the run of its steps.

    Attributes:
        at: when it was stored.
        run_id: the run that it is about; empty without one.
        ticks: how many ticks it is about, up to `scheduled_at`.
        on_late_run: the run of its steps (`on_late`, messages); empty without one.
    """

    at: datetime
    scheduler: str
    item_id: str
    scheduled_at: datetime
    alert: AlertKind
    reason: str
    run_id: str = ""
    ticks: int = 1
    on_late_run: str = ""


StartOnLate = Callable[[AlertRun], Awaitable[None]]
"""Starts the run of the steps of an alert."""


class _Seen(msgspec.Struct, frozen=True):
    """What the last look has seen: the newest row, and those to look at again."""

    newest: int
    opened: frozenset[int]


class LateWatch:
    """Watches the items of schedules; several servers on one database report an alert once."""

    def __init__(
        self,
        database: Database,
        schedules: Mapping[str, Schedule],
        standby: Standby,
        clock: Clock,
        report: Callable[[ScheduleEvent], None],
        start_on_late: StartOnLate,
    ) -> None:
        self._database = database
        self._schedules = schedules
        self._standby = standby
        self._clock = clock
        self._report = report
        self._start_on_late = start_on_late
        self._watched: dict[str, tuple[Schedule, dict[str, Item]]] = {}
        self._seen: dict[str, _Seen] = {}

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            with suppress(StateError, StandsBy):  # the scheduler reports both; the next look finds the same
                await self.look()

    async def look(self) -> None:
        """Report what is late now.

        Raises:
            StateError: the database could not be used; the next look finds the same.
            StandsBy: the server stands by.
        """
        if self._standby.why():
            return
        for schedule in list(self._schedules.values()):
            items = self._items(schedule)
            if items:
                await self._look(schedule.id, items)

    async def report_end(self, firing: Firing) -> None:
        """Report how one firing has ended, as a look would.

        Raises:
            StateError: the database could not be used; a look of a server finds the same.
            StandsBy: the server stands by.
        """
        item = self._schedules[firing.scheduler].items[firing.item_id]

        def claim(raw: sqlite3.Connection) -> list[AlertRun]:
            now = self._clock.now()
            return _claim(raw, _end(raw, item, firing, now), {item.id: item}, now, self._clock.new_id)

        await self._start(await self._standby.decide(claim))

    def _items(self, schedule: Schedule) -> dict[str, Item]:
        """Return the watched items of a schedule by name."""
        known = self._watched.get(schedule.id)
        if known is None or known[0] is not schedule:
            found = {item.id: item for item in schedule.items.values() if is_watched(item)}
            known = self._watched[schedule.id] = schedule, found
        return known[1]

    async def _look(self, scheduler: str, items: Mapping[str, Item]) -> None:
        before = self._seen.get(scheduler)
        find = partial(_find, scheduler=scheduler, items=items, before=before, now=self._clock.now)
        late, seen = await self._database.read(find)
        claimed: list[AlertRun] = []
        if late:
            claimed = await self._standby.decide(
                lambda raw: _claim(raw, find(raw)[0], items, self._clock.now(), self._clock.new_id)
            )
        self._seen[scheduler] = seen
        for event in claimed:
            if is_late(event.alert):  # an end is an event of its own
                self._report(FiringLate(**msgspec.structs.asdict(event)))
        await self._start(claimed)

    async def _start(self, claimed: list[AlertRun]) -> None:
        for event in claimed:
            if event.on_late_run:
                await self._start_on_late(event)


def _find(
    raw: sqlite3.Connection,
    scheduler: str,
    items: Mapping[str, Item],
    before: _Seen | None,
    now: Callable[[], datetime],
) -> tuple[list[Late], _Seen]:
    """Return what is late and not reported yet, and what was looked at."""
    at = now()
    newest = rows.newest_firing_id(raw)
    firings = {one.firing_id: one for one in open_firings(raw, scheduler)}
    opened = set(firings)
    if before is None:
        since = timestamp(at - LOOK_BACK)
        fresh = rows.firings_from(raw, scheduler, newest - MOST_ROWS_BACK)
        ended = [one for one in fresh if one.finished_at and one.finished_at >= since]
    else:
        ended = rows.firings_from(raw, scheduler, before.newest)
        ended += rows.firings_by_id(raw, before.opened - firings.keys())
    firings |= {one.firing_id: one for one in ended}
    watched = [one for one in firings.values() if one.item_id in items]
    pauses = read_pauses(raw, scheduler) if watched else []
    found: list[Late] = []
    failed: dict[str, int] = {}  # of each item the newest: a person may resume its run, and it recovers
    for firing in watched:
        item = items[firing.item_id]
        found += _end(raw, item, firing, at)
        if item.spec.notify and firing.outcome == "FAILED":
            failed[item.id] = max(failed.get(item.id, 0), firing.firing_id)
        if not watches_lateness(item) or _was_not_to_run(item, firing, pauses):
            continue
        if pause_in_force(pauses, item.id, at) is not None or item.window_at(at) is not None:
            opened.add(firing.firing_id)  # what is late is reported afterwards
        else:
            found += _late(raw, item, firing, at)
    return found, _Seen(newest, frozenset(opened.union(failed.values())))


def _end(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> list[Late]:
    """Return what is to be reported about the end of a firing and is not reported yet."""
    end = reported_end(raw, item, firing)
    return [end] if end and end.kind not in rows.kinds_of(raw, firing, ahead=now + AHEAD) else []


def _was_not_to_run(item: Item, firing: Firing, pauses: list[Pause]) -> bool:
    """Whether a tick has not run since it lies in a pause or a window: there may be thousands of them."""
    if not ended_without_run(firing):
        return False
    at = firing.scheduled
    return any(one.includes(at) for one in pauses_of(pauses, item.id)) or item.window_at(at) is not None


def _late(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> list[Late]:
    """Return what is late about one tick and not reported yet."""
    usual: list[float] = []
    has_run = True
    if needs_usual(item, firing):
        usual = run_seconds(raw, item.scheduler, item.id, before=firing.scheduled_at)
    if ended_without_run(firing):
        has_run = rows.has_run(raw, item.scheduler, item.id)
        has_run = has_run or rows.has_alert(raw, item.scheduler, item.id, "never_ran")
    found = late_ticks(item, firing, now, usual=usual, has_run=has_run)
    known = rows.kinds_of(raw, firing, ahead=now + AHEAD) if found else set()
    if known & DID_NOT_RUN:
        known |= DID_NOT_RUN
    return [one for one in found if one.kind not in known]


def _claim(
    raw: sqlite3.Connection,
    late: list[Late],
    items: Mapping[str, Item],
    now: datetime,
    new_id: Callable[[], str],
) -> list[AlertRun]:
    """Store what is late; return what this server reports: one alert for the ticks of an item and a kind."""
    mine = [one for one in late if rows.claim_alert(raw, _alert(one, now), ahead=now + AHEAD)]

    def key(one: Late) -> tuple[str, AlertKind]:
        return one.firing.item_id, one.kind

    claimed = []
    for _, group in groupby(sorted(mine, key=key), key):
        ticks = sorted(group, key=lambda one: one.firing.scheduled_at)
        alert = _alert(ticks[-1], now)
        has_steps = reports(items[alert.item_id].spec, alert.kind)
        if has_steps and (alert.kind in END_KINDS or not rows.has_run_since(raw, alert, now - QUIET)):
            alert = msgspec.structs.replace(alert, run_id=new_id())
            rows.set_run(raw, alert)
        claimed.append(_event(ticks, alert, now))
    return claimed


def _alert(late: Late, now: datetime) -> Alert:
    firing = late.firing
    return Alert(
        firing.scheduler, firing.item_id, firing.scheduled_at, late.kind, timestamp(now), late.message
    )


def _event(ticks: list[Late], alert: Alert, now: datetime) -> AlertRun:
    newest = ticks[-1].firing
    return AlertRun(
        at=now,
        scheduler=alert.scheduler,
        run_id=newest.run_id or "",
        item_id=alert.item_id,
        scheduled_at=newest.scheduled,
        alert=alert.kind,
        reason=alert.message,
        ticks=sum(one.firing.ticks for one in ticks),
        on_late_run=alert.run_id or "",
    )
