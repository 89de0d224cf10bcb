"""Read what became of past ticks: the firings of a period, the last success, the last problem of an item.

The functions read in a transaction of the caller, and never more rows than asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from datetime import datetime
from heapq import merge

import msgspec

from aetherflow.store.distinct_values import distinct_values
from aetherflow.store.firings import Firing, FiringOutcome, as_firings, each_firing
from aetherflow.store.projection import timestamp

PROBLEMS: tuple[FiringOutcome, ...] = ("FAILED", "CANCELLED", "SKIPPED", "MISSED")
"""The outcomes of a tick that did not succeed."""


class Known(msgspec.Struct, frozen=True):
    """What the state database knows about an item as a whole.

    Attributes:
        since: the earliest time that it knows of the item; None if it does not know the item.
        decided: up to when its ticks are decided.
    """

    since: datetime | None = None
    decided: datetime | None = None


def newest_firings(
    raw: sqlite3.Connection,
    scheduler: str,
    item_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    outcomes: Collection[str] = (),
    unplanned: bool = False,
) -> Iterator[Firing]:
    """Yield the firings of an item in a period, the newest first; `until` itself is not in it.

    `outcomes` leaves the others out; empty is every outcome. `unplanned` leaves out what a pause or a window
    skipped.
    """
    unless_planned = "AND is_planned = 0 " if unplanned else ""
    period = (timestamp(since) if since else "", timestamp(until) if until else "9999")

    def stored(condition: str, *outcome: str) -> Iterator[Firing]:
        rows = raw.execute(
            f"SELECT * FROM firings WHERE scheduler = ? AND item_id = ? {condition}AND scheduled_at >= ? "  # noqa: S608 - constants
            f"AND scheduled_at < ? {unless_planned}ORDER BY scheduled_at DESC",
            (scheduler, item_id, *outcome, *period),
        )
        return each_firing(rows)

    if not outcomes:
        return stored("")
    each = [stored("AND outcome = ? ", one) for one in dict.fromkeys(outcomes)]  # each in an index's order
    return merge(*each, key=lambda firing: firing.scheduled_at, reverse=True)


def firing_at_or_after(raw: sqlite3.Connection, scheduler: str, item_id: str, at: datetime) -> Firing | None:
    """Return the first firing of an item that was scheduled at a time or after it, and not by hand."""
    rows = raw.execute(
        "SELECT * FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at >= ? "
        "AND cause <> 'manual' ORDER BY scheduled_at LIMIT 1",
        (scheduler, item_id, timestamp(at)),
    )
    return next(iter(as_firings(rows)), None)


def schedulers_with_firings(raw: sqlite3.Connection) -> list[str]:
    """Return the schedulers that have firings."""
    return distinct_values(raw, "firings", "scheduler")


def items_with_firings(raw: sqlite3.Connection, scheduler: str) -> list[str]:
    """Return the items of a scheduler that have firings, also those that its file has no more."""
    return distinct_values(raw, "firings", "item_id", "scheduler = ?1", (scheduler,))


def known_of(raw: sqlite3.Connection, scheduler: str, item_id: str) -> Known:
    """Return since when an item is known, and up to when its ticks are decided."""
    row = raw.execute(
        "SELECT decided_to FROM schedule_items WHERE scheduler = ? AND item_id = ?", (scheduler, item_id)
    ).fetchone()
    (first,) = raw.execute(
        "SELECT min(scheduled_at) FROM firings WHERE scheduler = ? AND item_id = ? "
        "AND cause NOT IN ('manual', 'backfill')",  # a person may choose any time for those
        (scheduler, item_id),
    ).fetchone()
    decided = datetime.fromisoformat(row[0]) if row else None
    times = [datetime.fromisoformat(first)] if first else []
    return Known(min([*times, *([decided] if decided else [])], default=None), decided)


def last_success(raw: sqlite3.Connection, scheduler: str, item_id: str) -> Firing | None:
    """Return the newest firing of an item that succeeded."""
    return next(newest_firings(raw, scheduler, item_id, outcomes=("SUCCESS",)), None)


def last_problem(raw: sqlite3.Connection, scheduler: str, item_id: str) -> Firing | None:
    """Return the newest firing of an item that ended without success, or did not run though it was to."""
    return next(newest_firings(raw, scheduler, item_id, outcomes=PROBLEMS, unplanned=True), None)


def is_run_here(raw: sqlite3.Connection, run_id: str) -> bool:
    """Whether the run of a firing is in this database; else it is in that of its flow, or deleted."""
    return raw.execute("SELECT 1 FROM run_state WHERE run_id = ?", (run_id,)).fetchone() is not None
