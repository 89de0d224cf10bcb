"""Return how far backfills are, as `scheduler backfills` and `scheduler status` show it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Schedule
from aetherflow.server.in_force import in_force, served_files
from aetherflow.store.backfills import Backfill, Which, backfills, progress


class BackfillStatus(msgspec.Struct, frozen=True, rename={"begin": "from", "end": "to"}):
    """A backfill; times are RFC 3339 in UTC.

    Attributes:
        end: exclusive.
        parallel: how many of its runs execute at once; None: as many as `max_instances` allows.
        ticks: how many it was to run when it was requested.
        cancelled: those of its ticks that were cancelled or skipped.
        left: those that have not begun.
        reason: why the next tick waits while none runs, or why the backfill was cancelled.
        zone: that of the item, for people; UTC if no file in force has the item.
        counts: the numbers in words.
    """

    backfill: str
    scheduler: str
    item: str
    begin: str
    end: str
    only: Which
    parallel: int | None
    state: Literal["active", "cancelled", "finished"]
    ticks: int
    succeeded: int
    failed: int
    cancelled: int
    running: int
    left: int
    reason: str
    requested_at: str
    requested_by: str
    zone: str
    counts: str


def all_backfills(raw: sqlite3.Connection, now: datetime) -> list[BackfillStatus]:
    """Return all backfills of a database, the oldest first."""
    every = backfills(raw)
    known = in_force(served_files(raw, now), None) if every else {}
    schedules = {scheduler: found.schedule for scheduler, found in known.items() if found.schedule}
    return [_status(raw, one, schedules) for one in every]


def active_backfills(
    raw: sqlite3.Connection, scheduler: str, schedule: Schedule | None
) -> list[BackfillStatus]:
    """Return the backfills of a scheduler file that are not over, the oldest first."""
    schedules = {} if schedule is None else {scheduler: schedule}
    return [_status(raw, one, schedules) for one in backfills(raw, scheduler, active=True)]


def _status(raw: sqlite3.Connection, one: Backfill, schedules: Mapping[str, Schedule]) -> BackfillStatus:
    found = progress(raw, one)
    schedule = schedules.get(one.scheduler)
    item = schedule.items.get(one.item_id) if schedule is not None else None
    return BackfillStatus(
        backfill=one.backfill,
        scheduler=one.scheduler,
        item=one.item_id,
        begin=utc_text(datetime.fromisoformat(one.begins_at)),
        end=utc_text(datetime.fromisoformat(one.ends_at)),
        only=one.which,
        parallel=one.parallel,
        state=found.state,
        ticks=one.ticks,
        succeeded=found.succeeded,
        failed=found.failed,
        cancelled=found.cancelled,
        running=found.running,
        left=found.left,
        reason=found.reason,
        requested_at=utc_text(datetime.fromisoformat(one.requested_at)),
        requested_by=one.requested_by,
        zone="UTC" if item is None else item.zone,
        counts=found.counts,
    )
