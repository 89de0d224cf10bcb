"""Make the firings of backfills, a few at a time, so that a thousand days are not a thousand open rows.

Every server that has the item may do it: what was made so far is stored in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from aetherflow.clock import Clock
from aetherflow.events.schedule_events import ScheduleEvent, ScheduleNotice
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import due_at, next_tick
from aetherflow.scheduler.firing_decision import DecidedFirings
from aetherflow.scheduler.ports import FiringSink
from aetherflow.scheduler.recovery import ITEM_REMOVED
from aetherflow.scheduler.requested_tick import open_tick
from aetherflow.scheduler.standby import Standby
from aetherflow.scheduler.unknown_items import PATIENCE
from aetherflow.store.backfills import (
    Backfill,
    Progress,
    Which,
    backfills,
    finish_backfill,
    open_count,
    progress,
    set_made_to,
)
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, NewFiring, firing_at
from aetherflow.store.served_files import is_served_by_others

OPEN_AT_MOST = 20
"""How many firings of a backfill are open; twice its `--parallel` if that is more."""

TICKS_PER_TRANSACTION = 500
"""How many ticks one transaction looks at: most of them may have succeeded."""


class BackfillFeed:
    """Makes the firings of backfills at one server, and ends the backfills that are over."""

    def __init__(
        self,
        database: Database,
        standby: Standby,
        server: str,
        clock: Clock,
        report: Callable[[ScheduleEvent], None],
    ) -> None:
        self._database = database
        self._standby = standby
        self._server = server
        self._clock = clock
        self._report = report
        self._unknown: dict[str, datetime] = {}

    async def check(self, schedule: Schedule, sink: FiringSink) -> None:
        """Make the firings that the backfills of a schedule need; end what is over, and report it once.

        Raises:
            StateError: the database could not be used.
            StandsBy: the clock of the server is off; nothing was decided.
        """
        if not await self._database.read(partial(self._needs, schedule=schedule)):
            return
        for ended in await self._standby.decide(partial(self._end, schedule=schedule)):
            self._report(_ended_notice(ended, self._clock.now()))
        begin = await self._database.read(partial(_not_begun, schedule=schedule))
        decided = await sink.fire(partial(self._make, schedule=schedule))
        for name in {firing.backfill for one in decided for firing in one.firings} & begin.keys():
            self._report(_begun_notice(begin[name], self._clock.now()))

    def _needs(self, raw: sqlite3.Connection, schedule: Schedule) -> bool:
        """Whether there is anything to do; only reads."""
        return any(
            self._is_over(raw, schedule, one) or (one.item_id in schedule.items and _wants(raw, one))
            for one in backfills(raw, schedule.id, active=True)
        )

    def _is_over(self, raw: sqlite3.Connection, schedule: Schedule, one: Backfill) -> bool:
        if one.item_id not in schedule.items:
            return self._is_unknown_to_all(raw, schedule, one)
        self._unknown.pop(one.backfill, None)
        return one.made_to >= one.ends_at and not open_count(raw, one)

    def _is_unknown_to_all(self, raw: sqlite3.Connection, schedule: Schedule, one: Backfill) -> bool:
        """Whether no server has the item: this one is alone, or the others have done nothing for a while."""
        now = self._clock.now()
        if not is_served_by_others(raw, schedule.id, self._server, now):
            return True
        if open_count(raw, one):
            self._unknown.pop(one.backfill, None)
            return False
        return now - self._unknown.setdefault(one.backfill, now) >= PATIENCE

    def _end(self, raw: sqlite3.Connection, schedule: Schedule) -> list[Progress]:
        """End what is over, in a transaction; return it."""
        ended = []
        for one in backfills(raw, schedule.id, active=True):
            if not self._is_over(raw, schedule, one):
                continue
            is_done = one.item_id in schedule.items
            ended.append(progress(raw, finish_backfill(raw, one, self._clock.now(), is_done=is_done)))
        return ended

    def _make(self, raw: sqlite3.Connection, schedule: Schedule) -> list[DecidedFirings]:
        """Make the next firings of the backfills of a schedule, which wait for their turn."""
        made = []
        for one in backfills(raw, schedule.id, active=True):
            item = schedule.items.get(one.item_id)
            if item is not None and one.made_to < one.ends_at and _wants(raw, one):
                now = self._clock.now()
                firings = _feed_one(raw, item, one, self._server, now, self._clock.new_id)
                made.append(DecidedFirings(item, now, firings))
        return made


def _not_begun(raw: sqlite3.Connection, schedule: Schedule) -> dict[str, Backfill]:
    """Return the backfills of which no tick has a firing yet, by their ids."""
    active = backfills(raw, schedule.id, active=True)
    return {
        one.backfill: one for one in active if one.made_to == one.begins_at and one.item_id in schedule.items
    }


def _wants(raw: sqlite3.Connection, one: Backfill) -> bool:
    return one.made_to < one.ends_at and open_count(raw, one) <= _window(one) // 2


def _window(one: Backfill) -> int:
    return max(OPEN_AT_MOST, 2 * (one.parallel or 0))


def _begun_notice(one: Backfill, now: datetime) -> ScheduleNotice:
    """Return what people should know of a backfill whose first firings are made; in UTC, as every notice."""
    begin, end = (f"{datetime.fromisoformat(at):%Y-%m-%dT%H:%M:%SZ}" for at in (one.begins_at, one.ends_at))
    message = f"backfill {one.backfill} of {one.ticks} ticks from {begin} to {end}, by {one.requested_by}"
    return ScheduleNotice(at=now, scheduler=one.scheduler, item_id=one.item_id, message=message, level="info")


def _ended_notice(ended: Progress, now: datetime) -> ScheduleNotice:
    """Return what people should know of a backfill that is over."""
    of = ended.backfill
    if ended.state == "finished":
        message = f"backfill {of.backfill} is over: {ended.counts}"
    else:
        message = f"backfill {of.backfill} is cancelled, as {ITEM_REMOVED}: {ended.counts}"
    return ScheduleNotice(
        at=now,
        scheduler=of.scheduler,
        item_id=of.item_id,
        message=message,
        level="info" if ended.succeeded == of.ticks else "warning",
    )


def _feed_one(
    raw: sqlite3.Connection, item: Item, one: Backfill, server: str, now: datetime, new_id: Callable[[], str]
) -> list[Firing]:
    room = _window(one) - open_count(raw, one)
    made: list[Firing] = []
    end = made_to = datetime.fromisoformat(one.ends_at)
    found = partial(firing_at, raw, item.scheduler, item.id)
    for number, tick in enumerate(ticks_from(item, datetime.fromisoformat(one.made_to), end)):
        if len(made) >= room or number >= TICKS_PER_TRANSACTION:
            made_to = tick
            break
        if not is_wanted(found(tick), one.which):
            continue
        new = NewFiring(
            item.scheduler,
            item.id,
            tick,
            "backfill",
            "WAITING",
            due_at=due_at(item.table, tick),
            priority=item.spec.priority,
            server=server,
            params=one.params,
            backfill=one.backfill,
        )
        firing = open_tick(raw, item, new, now, new_id)
        made += [] if firing is None else [firing]
    set_made_to(raw, one.backfill, made_to)
    return made


def ticks_from(item: Item, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the ticks of an item from `begin` until before `end`, without those that its calendar closes."""
    tick = next_tick(item.table, begin - timedelta(seconds=1))
    while tick is not None and tick < end:
        if tick >= begin:
            yield tick
        tick = next_tick(item.table, tick)


def is_wanted(found: Firing | None, which: Which) -> bool:
    """Whether a backfill runs a tick that has this firing."""
    if found is None or found.outcome in ("MISSED", "SKIPPED"):
        return which in ("missing", "all")
    return found.outcome in ("FAILED", "CANCELLED") and which in ("failed", "all")
