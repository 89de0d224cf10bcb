"""Read and write backfills: requests to run the past ticks of an item. In transactions of the caller."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

import msgspec

from aetherflow.store.firings import request_firing_cancel
from aetherflow.store.projection import timestamp
from aetherflow.store.run_lease import request_cancel

Which = Literal["missing", "failed", "all"]


class Backfill(msgspec.Struct, frozen=True):
    """A request; times are RFC 3339 in UTC.

    Attributes:
        ends_at: exclusive.
        made_to: the ticks before have their firings.
        parallel: how many of its runs execute at once, apart from `max_instances`; None: they count for that.
        ticks: how many ticks it was to run when it was requested.
        params: those that win over the item's, as a JSON object.
    """

    backfill: str
    scheduler: str
    item_id: str
    begins_at: str
    ends_at: str
    made_to: str
    which: Which
    parallel: int | None
    ticks: int
    params: str
    requested_at: str
    requested_by: str
    finished_at: str | None = None
    cancelled_at: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """How far a backfill is: ticks by their outcome; `left` waits for its turn, `running` has begun."""

    backfill: Backfill
    succeeded: int
    failed: int
    running: int
    left: int

    @property
    def state(self) -> Literal["active", "cancelled", "finished"]:
        """Whether it continues."""
        if self.backfill.cancelled_at:
            return "cancelled"
        return "finished" if self.backfill.finished_at else "active"


def insert_backfill(raw: sqlite3.Connection, new: Backfill) -> None:
    """Store a backfill."""
    names = new.__struct_fields__
    raw.execute(
        f"INSERT INTO backfills ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",  # noqa: S608 - the names are those of the fields
        [getattr(new, name) for name in names],
    )


def backfills(raw: sqlite3.Connection, scheduler: str = "", *, active: bool = False) -> list[Backfill]:
    """Return the backfills of a scheduler, or of all, oldest first."""
    rows = raw.execute(
        f"SELECT {', '.join(Backfill.__struct_fields__)} FROM backfills "  # noqa: S608 - as above
        "WHERE (?1 = '' OR scheduler = ?1) AND (NOT ?2 OR finished_at IS NULL) "
        "ORDER BY requested_at, backfill",
        (scheduler, active),
    )
    return [Backfill(*row) for row in rows]


def find_backfill(raw: sqlite3.Connection, backfill: str) -> Backfill | None:
    """Return one backfill."""
    return next((one for one in backfills(raw) if one.backfill == backfill), None)


def progress(raw: sqlite3.Connection, one: Backfill) -> Progress:
    """Return how far a backfill is."""
    rows = raw.execute(
        "SELECT outcome, count(*) FROM firings WHERE backfill = ? AND backfill <> '' GROUP BY outcome",
        (one.backfill,),
    )
    count = dict(rows.fetchall())
    done = count.get("SUCCESS", 0)
    failed = sum(count.get(name, 0) for name in ("FAILED", "CANCELLED", "SKIPPED", "MISSED"))
    running = count.get("RUNNING", 0)
    left = 0 if one.finished_at else max(one.ticks - done - failed - running, 0)
    return Progress(one, done, failed, running, left)


def open_count(raw: sqlite3.Connection, backfill: str) -> int:
    """Return how many firings of a backfill are open."""
    row = raw.execute(
        "SELECT count(*) FROM firings WHERE backfill = ? AND backfill <> '' AND finished_at IS NULL",
        (backfill,),
    ).fetchone()
    return int(row[0])


def started_count(raw: sqlite3.Connection, backfill: str) -> int:
    """Return how many firings of a backfill are queued or run."""
    row = raw.execute(
        "SELECT count(*) FROM firings WHERE backfill = ? AND backfill <> '' AND finished_at IS NULL "
        "AND outcome <> 'WAITING'",
        (backfill,),
    ).fetchone()
    return int(row[0])


def own_limits(raw: sqlite3.Connection, scheduler: str, item_id: str) -> dict[str, int]:
    """Return the limits of the backfills of an item that have one of their own."""
    rows = raw.execute(
        "SELECT backfill, parallel FROM backfills WHERE scheduler = ? AND item_id = ? "
        "AND parallel IS NOT NULL",
        (scheduler, item_id),
    )
    return dict(rows.fetchall())


def set_made_to(raw: sqlite3.Connection, backfill: str, made_to: datetime) -> None:
    """Store up to where the ticks of a backfill have their firings."""
    raw.execute("UPDATE backfills SET made_to = ? WHERE backfill = ?", (timestamp(made_to), backfill))


def finish_backfill(raw: sqlite3.Connection, backfill: str, now: datetime) -> None:
    """Note that every tick of a backfill has had its turn."""
    raw.execute(
        "UPDATE backfills SET finished_at = ? WHERE backfill = ? AND finished_at IS NULL",
        (timestamp(now), backfill),
    )


def cancel_backfill(raw: sqlite3.Connection, backfill: str, reason: str, now: datetime) -> None:
    """End a backfill: no tick of it starts any more, and the runs that have begun are cancelled."""
    at = timestamp(now)
    raw.execute(
        "UPDATE backfills SET finished_at = ?, cancelled_at = ? WHERE backfill = ?", (at, at, backfill)
    )
    raw.execute(
        "UPDATE firings SET outcome = 'CANCELLED', reason = ?, finished_at = ? WHERE backfill = ? "
        "AND finished_at IS NULL AND outcome IN ('WAITING', 'QUEUED') AND started_at IS NULL",
        (reason, at, backfill),
    )
    begun = raw.execute(
        "SELECT firing_id, run_id FROM firings WHERE backfill = ? AND finished_at IS NULL", (backfill,)
    )
    for firing_id, run_id in begun.fetchall():
        request_firing_cancel(raw, firing_id, reason)
        request_cancel(raw, run_id or "", reason, now)
