"""Make the firings of backfills, a few at a time, so that a thousand days are not a thousand open rows.

Every server that has the item may do it: what was made so far is stored in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import due_at, next_tick
from aetherflow.scheduler.firing_decision import DecidedFirings
from aetherflow.scheduler.requested_tick import open_tick
from aetherflow.store.backfills import Backfill, Which, backfills, finish_backfill, open_count, set_made_to
from aetherflow.store.firings import Firing, NewFiring, firing_at

OPEN_AT_MOST = 20
"""How many firings of a backfill are open; twice its `--parallel` if that is more."""

TICKS_PER_TRANSACTION = 500
"""How many ticks one transaction looks at: most of them may have succeeded."""


def needs_feeding(raw: sqlite3.Connection, schedule: Schedule) -> bool:
    """Whether a backfill of the schedule needs more firings, or is over; only reads."""
    return any(
        _wants(raw, one) for one in backfills(raw, schedule.id, active=True) if one.item_id in schedule.items
    )


def _wants(raw: sqlite3.Connection, one: Backfill) -> bool:
    opened = open_count(raw, one.backfill)
    return opened <= _window(one) // 2 if one.made_to < one.ends_at else not opened


def _window(one: Backfill) -> int:
    return max(OPEN_AT_MOST, 2 * (one.parallel or 0))


def feed(
    raw: sqlite3.Connection,
    schedule: Schedule,
    server: str,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
) -> list[DecidedFirings]:
    """Make the next firings of the backfills of a schedule, which wait for their turn; end what is over."""
    made = []
    for one in backfills(raw, schedule.id, active=True):
        item = schedule.items.get(one.item_id)
        if item is None or not _wants(raw, one):
            continue
        if one.made_to >= one.ends_at:
            finish_backfill(raw, one.backfill, now())
            continue
        made.append(DecidedFirings(item, now(), _feed_one(raw, item, one, server, now(), new_id)))
    return made


def _feed_one(
    raw: sqlite3.Connection, item: Item, one: Backfill, server: str, now: datetime, new_id: Callable[[], str]
) -> list[Firing]:
    room = _window(one) - open_count(raw, one.backfill)
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
