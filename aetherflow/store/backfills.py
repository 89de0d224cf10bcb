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
    """How far a backfill is: its ticks by their outcome.

    Attributes:
        cancelled: those that had a firing, and were cancelled or skipped.
        left: those that have not begun.
        reason: why the next of them waits while none runs, or why the backfill was cancelled.
    """

    backfill: Backfill
    succeeded: int
    failed: int
    cancelled: int
    running: int
    left: int
    reason: str = ""

    @property
    def state(self) -> Literal["active", "cancelled", "finished"]:
        """Whether it continues."""
        if self.backfill.cancelled_at:
            return "cancelled"
        return "finished" if self.backfill.finished_at else "active"

    @property
    def counts(self) -> str:
        """The numbers in words."""
        counts = {
            "succeeded": self.succeeded,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "running": self.running,
            "left": self.left,
        }
        always = ("succeeded", "failed") if self.state == "finished" else ("succeeded", "failed", "left")
        shown = [f"{number} {name}" for name, number in counts.items() if number or name in always]
        lost = self.backfill.ticks - sum(counts.values())
        gone = f"; {lost} no longer in it" if lost > 0 else ""
        return f"{', '.join(shown)} of {self.backfill.ticks}{gone}"


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
    done, failed, running = (count.get(name, 0) for name in ("SUCCESS", "FAILED", "RUNNING"))
    cancelled = sum(count.get(name, 0) for name in ("CANCELLED", "SKIPPED", "MISSED"))
    left = max(one.ticks - done - failed - cancelled - running, 0)
    found = Progress(one, done, failed, cancelled, running, left)
    if found.state == "finished":
        return msgspec.structs.replace(found, left=0)
    return found if running else msgspec.structs.replace(found, reason=_reason(raw, found))


def _reason(raw: sqlite3.Connection, found: Progress) -> str:
    """Return the reason of the first tick that waits, or of the last one that a cancelled backfill lost."""
    if found.state == "active":
        condition = "outcome = 'WAITING' ORDER BY scheduled_at"
    else:
        condition = "outcome IN ('CANCELLED', 'SKIPPED') ORDER BY scheduled_at DESC"
    row = raw.execute(
        f"SELECT reason FROM firings WHERE backfill = ? AND backfill <> '' AND {condition} LIMIT 1",  # noqa: S608 - one of the two texts above
        (found.backfill.backfill,),
    ).fetchone()
    return "" if row is None else str(row[0])


# Asked for every tick. The open firings of an item are few, those that a backfill has had may be 100,000: the
# plus keeps SQLite from the index of the latter.
_OPEN = (
    "SELECT count(*) FROM firings "
    "WHERE scheduler = ? AND item_id = ? AND +backfill = ? AND finished_at IS NULL"
)


def open_count(raw: sqlite3.Connection, one: Backfill) -> int:
    """Return how many firings of a backfill are open."""
    row = raw.execute(_OPEN, (one.scheduler, one.item_id, one.backfill)).fetchone()
    return int(row[0])


def started_count(raw: sqlite3.Connection, scheduler: str, item_id: str, backfill: str) -> int:
    """Return how many firings of a backfill of an item are queued or run."""
    row = raw.execute(f"{_OPEN} AND outcome <> 'WAITING'", (scheduler, item_id, backfill)).fetchone()
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


def finish_backfill(raw: sqlite3.Connection, one: Backfill, now: datetime, *, is_done: bool) -> Backfill:
    """Note that every tick of a backfill has had its turn, or that the rest gets none; runs continue."""
    at = timestamp(now)
    ended = msgspec.structs.replace(one, finished_at=at, cancelled_at=None if is_done else at)
    raw.execute(
        "UPDATE backfills SET finished_at = ?, cancelled_at = ? WHERE backfill = ?",
        (ended.finished_at, ended.cancelled_at, one.backfill),
    )
    return ended


def delete_old_backfills(raw: sqlite3.Connection, before: datetime) -> int:
    """Delete the backfills that were over before then; return how many."""
    return raw.execute("DELETE FROM backfills WHERE finished_at < ?", (timestamp(before),)).rowcount


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
