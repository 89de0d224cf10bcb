"""Read and write firings: what schedulers decided for each tick, and which server owns each open one.

A firing's row is the durable claim of its tick: it is inserted with the run id and the place in the queue
under a UNIQUE constraint, so only one of several servers inserts it. The functions work inside a transaction
of the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from aetherflow.store.projection import timestamp
from aetherflow.store.served_files import is_alive
from aetherflow.store.stored_times import seconds_between

Cause = Literal["tick", "catch_up", "manual", "backfill", "event"]
BY_HAND: frozenset[Cause] = frozenset({"manual", "backfill"})
"""The causes of firings that a person requests: they follow nothing, and have no time to be late for."""

NEWEST_FIRINGS = 2000
"""How many firings are looked at to say whether items have runs elsewhere."""

Open = Literal["WAITING", "QUEUED", "RUNNING"]
RunEnd = Literal["SUCCESS", "FAILED", "CANCELLED"]
FiringOutcome = Literal["WAITING", "QUEUED", "RUNNING", "SUCCESS", "FAILED", "CANCELLED", "SKIPPED", "MISSED"]


class Firing(msgspec.Struct, frozen=True):
    """One row; times are RFC 3339 in UTC, of one length, so that they compare as texts.

    Attributes:
        due_at: the scheduled time with its jitter.
        ticks: how many ticks, up to this one, the row is for: a long downtime has one row.
        server: the one that has it; empty when any server may take it.
        cancel_reason: why its run was cancelled.
        params: those that a person gave with it, as a JSON object; they win over those of the item.
        backfill: the backfill that it belongs to; empty without one.
        event_key: what it is for that has no timetable, such as a boot; unique within an item.
        last_success_at: the last success before it, as its params have it; None until it is submitted.
        is_planned: it did not run since a person or the file says so: a pause or a window. It is no problem.
    """

    firing_id: int
    scheduler: str
    item_id: str
    scheduled_at: str
    cause: Cause
    decided_at: str
    outcome: FiringOutcome
    run_id: str | None
    started_at: str | None
    finished_at: str | None
    reason: str
    due_at: str
    ticks: int
    priority: int
    server: str
    cancel_reason: str | None
    params: str = "{}"
    backfill: str = ""
    event_key: str | None = None
    last_success_at: str | None = None
    is_planned: bool = False

    @property
    def is_open(self) -> bool:
        """Whether the firing is open: it waits, is queued or runs."""
        return self.finished_at is None

    @property
    def scheduled(self) -> datetime:
        """The scheduled time."""
        return datetime.fromisoformat(self.scheduled_at)


class NewFiring(msgspec.Struct, frozen=True):
    """A firing to insert; one that does not run has an outcome that says so and no run id."""

    scheduler: str
    item_id: str
    scheduled_at: datetime
    cause: Cause
    outcome: FiringOutcome
    run_id: str | None = None
    reason: str = ""
    due_at: datetime | None = None
    ticks: int = 1
    priority: int = 0
    server: str = ""
    params: str = "{}"
    backfill: str = ""
    event_key: str | None = None
    is_planned: bool = False


def insert_firing(raw: sqlite3.Connection, new: NewFiring, now: datetime) -> Firing | None:
    """Store a firing; None if that tick of the item has a row already.

    A manual firing takes the next free microsecond instead: two persons may ask at the same time.
    """
    scheduled = new.scheduled_at
    while (stored := _insert(raw, new, scheduled, now)) is None and new.cause == "manual":
        scheduled += timedelta(microseconds=1)
    return stored


def _insert(raw: sqlite3.Connection, new: NewFiring, scheduled: datetime, now: datetime) -> Firing | None:
    is_over = new.outcome in ("SKIPPED", "MISSED")
    rows = raw.execute(
        "INSERT INTO firings (scheduler, item_id, scheduled_at, cause, decided_at, outcome, run_id, "
        "finished_at, reason, due_at, ticks, priority, server, params, backfill, event_key, is_planned) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING RETURNING *",
        (
            new.scheduler,
            new.item_id,
            timestamp(scheduled),
            new.cause,
            timestamp(now),
            new.outcome,
            new.run_id,
            timestamp(now) if is_over else None,
            new.reason,
            timestamp(new.due_at or scheduled),
            new.ticks,
            new.priority,
            new.server,
            new.params,
            new.backfill,
            new.event_key,
            new.is_planned,
        ),
    )
    return next(iter(as_firings(rows)), None)


def as_firings(rows: sqlite3.Cursor) -> list[Firing]:
    """Return the rows as firings; a column that a newer version has added is left out."""
    return list(each_firing(rows))


def each_firing(rows: sqlite3.Cursor) -> Iterator[Firing]:
    """Yield the rows as firings, each when it is asked for, as `as_firings` returns them."""
    known = set(Firing.__struct_fields__)
    places = [(number, column[0]) for number, column in enumerate(rows.description) if column[0] in known]
    return (Firing(**{name: row[number] for number, name in places}) for row in rows)


def find_firing(raw: sqlite3.Connection, firing_id: int) -> Firing | None:
    """Return one firing."""
    rows = raw.execute("SELECT * FROM firings WHERE firing_id = ?", (firing_id,))
    return next(iter(as_firings(rows)), None)


def has_event(raw: sqlite3.Connection, scheduler: str, item_id: str, event_key: str) -> bool:
    """Whether an item has a firing for an event."""
    query = "SELECT 1 FROM firings WHERE scheduler = ? AND item_id = ? AND event_key = ?"
    return raw.execute(query, (scheduler, item_id, event_key)).fetchone() is not None


def has_firing(raw: sqlite3.Connection, scheduler: str, item_id: str, scheduled: datetime) -> bool:
    """Whether a tick of an item has a row."""
    row = raw.execute(
        "SELECT 1 FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at = ?",
        (scheduler, item_id, timestamp(scheduled)),
    ).fetchone()
    return row is not None


def firing_at(raw: sqlite3.Connection, scheduler: str, item_id: str, scheduled: datetime) -> Firing | None:
    """Return the firing of an item at a scheduled time."""
    rows = raw.execute(
        "SELECT * FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at = ?",
        (scheduler, item_id, timestamp(scheduled)),
    )
    return next(iter(as_firings(rows)), None)


def shared_after(raw: sqlite3.Connection, scheduler: str, item_id: str, scheduled: datetime) -> Firing | None:
    """Return the first firing of an item after a time whose row is for several ticks."""
    rows = raw.execute(
        "SELECT * FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at > ? AND ticks > 1 "
        "ORDER BY scheduled_at LIMIT 1",
        (scheduler, item_id, timestamp(scheduled)),
    )
    return next(iter(as_firings(rows)), None)


def set_ticks(raw: sqlite3.Connection, firing_id: int, ticks: int) -> None:
    """Change how many ticks a row is for."""
    raw.execute("UPDATE firings SET ticks = ? WHERE firing_id = ?", (ticks, firing_id))


def fix_last_success(raw: sqlite3.Connection, firing_id: int) -> datetime | None:
    """Return when the last success of an item before a firing was scheduled; the first answer is stored."""
    raw.execute(
        "UPDATE firings SET last_success_at = coalesce((SELECT max(other.scheduled_at) FROM firings AS other "
        "WHERE other.scheduler = firings.scheduler AND other.item_id = firings.item_id "
        "AND other.outcome = 'SUCCESS' AND other.scheduled_at < firings.scheduled_at), '') "
        "WHERE firing_id = ? AND last_success_at IS NULL",
        (firing_id,),
    )
    (found,) = raw.execute("SELECT last_success_at FROM firings WHERE firing_id = ?", (firing_id,)).fetchone()
    return datetime.fromisoformat(found) if found else None


def reopen_firing(raw: sqlite3.Connection, firing: Firing, new: NewFiring, now: datetime) -> Firing:
    """Open a firing again that did not succeed; its run is resumed if it keeps its run id.

    It is for its own tick alone from then on.
    """
    is_new_run = new.run_id != firing.run_id
    rows = raw.execute(
        "UPDATE firings SET cause = ?, decided_at = ?, outcome = ?, run_id = ?, started_at = NULL, "
        "finished_at = NULL, reason = ?, ticks = 1, priority = ?, server = ?, cancel_reason = NULL, "
        "is_planned = 0, params = ?, backfill = ?, "
        "last_success_at = CASE WHEN ? THEN NULL ELSE last_success_at END "
        "WHERE firing_id = ? RETURNING *",
        (
            *(new.cause, timestamp(now), new.outcome, new.run_id, new.reason, new.priority),
            *(new.server, new.params, new.backfill, is_new_run, firing.firing_id),
        ),
    )
    return as_firings(rows)[0]


def delete_firing(raw: sqlite3.Connection, firing_id: int) -> None:
    """Delete a row."""
    raw.execute("DELETE FROM firings WHERE firing_id = ?", (firing_id,))


def shorten_firing(
    raw: sqlite3.Connection, firing_id: int, newest: datetime, ticks: int, reason: str
) -> None:
    """Let a row for several ticks be for the earlier of them only, up to `newest`."""
    raw.execute(
        "UPDATE firings SET scheduled_at = ?1, due_at = ?1, ticks = ?2, reason = ?3 WHERE firing_id = ?4",
        (timestamp(newest), ticks, reason, firing_id),
    )


def missed_early(
    raw: sqlite3.Connection, scheduler: str, item_ids: Iterable[str], now: datetime, decided_after: datetime
) -> dict[str, datetime]:
    """Return the first tick of each of these items, up to `now`, that was called MISSED after a time."""
    found: dict[str, datetime] = {}
    for item_id in item_ids:
        (first,) = raw.execute(
            "SELECT min(scheduled_at) FROM firings WHERE scheduler = ? AND item_id = ? "
            "AND outcome = 'MISSED' AND scheduled_at <= ? AND cause = 'tick' AND started_at IS NULL "
            "AND ticks = 1 AND decided_at > ?",
            (scheduler, item_id, timestamp(now), timestamp(decided_after)),
        ).fetchone()
        if first is not None:
            found[item_id] = datetime.fromisoformat(first)
    return found


def open_firings(raw: sqlite3.Connection, scheduler: str, item_id: str = "") -> list[Firing]:
    """Return the open firings of a scheduler, or of one of its items, in the order of the scheduled times."""
    rows = raw.execute(
        "SELECT * FROM firings WHERE finished_at IS NULL AND scheduler = ?1 "
        "AND (?2 = '' OR item_id = ?2) ORDER BY scheduled_at, firing_id",
        (scheduler, item_id),
    )
    return as_firings(rows)


def begin_firing(raw: sqlite3.Connection, firing_id: int, server: str, now: datetime) -> bool:
    """Mark a firing as started; False if another server has it, or it was not to start.

    In the same transaction as the claim of its run, where both are in one database. A run that is
    resumed after its server died keeps its first start.
    """
    changed = raw.execute(
        "UPDATE firings SET outcome = 'RUNNING', started_at = coalesce(started_at, ?), reason = '' "
        "WHERE firing_id = ? AND server = ? AND outcome = 'QUEUED'",
        (timestamp(now), firing_id, server),
    )
    return changed.rowcount == 1


def move_firing(
    raw: sqlite3.Connection, firing_id: int, server: str, outcome: Open, reason: str = ""
) -> bool:
    """Let an open firing of this server wait or queue; False if another server has it."""
    changed = raw.execute(
        "UPDATE firings SET outcome = ?, reason = ? "
        "WHERE firing_id = ? AND server = ? AND finished_at IS NULL",
        (outcome, reason, firing_id, server),
    )
    return changed.rowcount == 1


def postpone_firing(
    raw: sqlite3.Connection, firing_id: int, server: str, reason: str, *, has_started: bool
) -> bool:
    """Let a firing of this server wait whose run cannot be started or resumed; False if another has it."""
    changed = raw.execute(
        "UPDATE firings SET outcome = 'WAITING', reason = ?, started_at = CASE WHEN ? THEN started_at END "
        "WHERE firing_id = ? AND server = ? AND finished_at IS NULL",
        (reason, has_started, firing_id, server),
    )
    return changed.rowcount == 1


def close_firing(
    raw: sqlite3.Connection, firing_id: int, server: str, outcome: FiringOutcome, reason: str, now: datetime
) -> bool:
    """Store how a firing of this server ended; False if it is over already, or another server has it."""
    changed = raw.execute(
        "UPDATE firings SET outcome = ?, reason = ?, finished_at = ? "
        "WHERE firing_id = ? AND server = ? AND finished_at IS NULL",
        (outcome, reason, timestamp(now), firing_id, server),
    )
    return changed.rowcount == 1


def request_firing_cancel(raw: sqlite3.Connection, firing_id: int, reason: str) -> None:
    """Ask the server of a firing to end its run."""
    raw.execute(
        "UPDATE firings SET cancel_reason = ? WHERE firing_id = ? AND finished_at IS NULL",
        (reason, firing_id),
    )


def take_over(
    raw: sqlite3.Connection, scheduler: str, server: str, now: datetime, leave: Collection[int] = ()
) -> list[Firing]:
    """Take the open firings without a live server, but those to `leave`; return them as they were.

    Those are the ones that wait for any server, and those of servers that are dead or whose lease ran out.
    The run of a firing that had started may have ended since, or be interrupted: the caller finds out.
    """
    opened = open_firings(raw, scheduler)
    others = {firing.server for firing in opened if firing.server != server}
    free = {name for name in others if not name or not is_alive(raw, name, now)}
    taken = [firing for firing in opened if firing.server in free and firing.firing_id not in leave]
    raw.executemany(
        "UPDATE firings SET server = ? WHERE firing_id = ?", [(server, firing.firing_id) for firing in taken]
    )
    return taken


def release_firing(raw: sqlite3.Connection, firing_id: int, server: str) -> None:
    """Leave a firing of this server that has not started to the next server."""
    raw.execute(
        "UPDATE firings SET server = '' WHERE firing_id = ? AND server = ? AND finished_at IS NULL "
        "AND outcome IN ('WAITING', 'QUEUED')",
        (firing_id, server),
    )


def leave_firing(raw: sqlite3.Connection, firing_id: int, server: str, reason: str) -> None:
    """Leave a firing of this server that has started to the next server, which resumes its run."""
    raw.execute(
        "UPDATE firings SET outcome = 'QUEUED', server = '', reason = ? "
        "WHERE firing_id = ? AND server = ? AND finished_at IS NULL",
        (reason, firing_id, server),
    )


def firings_between(
    raw: sqlite3.Connection, scheduler: str, item_id: str, begin: datetime, end: datetime
) -> list[Firing]:
    """Return the firings of an item that were scheduled from `begin` until before `end`, in order."""
    rows = raw.execute(
        "SELECT * FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at >= ? "
        "AND scheduled_at < ? ORDER BY scheduled_at",
        (scheduler, item_id, timestamp(begin), timestamp(end)),
    )
    return as_firings(rows)


def newest_decided(
    raw: sqlite3.Connection, scheduler: str, item_id: str, begin: datetime, end: datetime, most: int
) -> list[Firing]:
    """Return the newest firings of a period that have a run or were missed, `most` at most, oldest first."""
    rows = raw.execute(
        "SELECT * FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at >= ? "
        "AND scheduled_at < ? AND (run_id IS NOT NULL OR outcome = 'MISSED') "
        "ORDER BY scheduled_at DESC LIMIT ?",
        (scheduler, item_id, timestamp(begin), timestamp(end), most),
    )
    return as_firings(rows)[::-1]


def last_firings(raw: sqlite3.Connection, scheduler: str) -> dict[str, Firing]:
    """Return the firing of each item with the newest scheduled time; a backfill decides older ones later."""
    rows = raw.execute(  # a step of the index for each item: a scan of years of firings takes seconds
        "WITH RECURSIVE items (name) AS (SELECT min(item_id) FROM firings WHERE scheduler = ?1 UNION ALL "
        "SELECT (SELECT min(item_id) FROM firings WHERE scheduler = ?1 AND item_id > name) FROM items "
        "WHERE name IS NOT NULL) "
        "SELECT firings.* FROM items JOIN firings ON firing_id = (SELECT firing_id FROM firings "
        "WHERE scheduler = ?1 AND item_id = name ORDER BY scheduled_at DESC LIMIT 1)",
        (scheduler,),
    )
    return {firing.item_id: firing for firing in as_firings(rows)}


def run_seconds(
    raw: sqlite3.Connection, scheduler: str, item_id: str, newest: int = 20, *, before: str = "9999"
) -> list[float]:
    """Return how long the newest runs of an item that succeeded took, of those scheduled before a time."""
    rows = raw.execute(
        "SELECT started_at, finished_at FROM firings WHERE scheduler = ? AND item_id = ? "
        "AND outcome = 'SUCCESS' AND started_at IS NOT NULL AND scheduled_at < ? "
        "ORDER BY scheduled_at DESC LIMIT ?",
        (scheduler, item_id, before, newest),
    )
    return [seconds_between(started, finished) for started, finished in rows]


def recorded_end(raw: sqlite3.Connection, run_id: str) -> tuple[RunEnd, str] | None:
    """Return the status and the reason of a run that has ended, as this database has it."""
    row = raw.execute(
        "SELECT status, reason FROM run_state WHERE run_id = ? AND status <> 'RUNNING'", (run_id,)
    ).fetchone()
    return None if row is None else (row[0], row[1])


def cancel_unstarted(raw: sqlite3.Connection, firing_id: int, reason: str, now: datetime) -> bool:
    """Cancel a firing that has not started, on whichever server; False if it has."""
    changed = raw.execute(
        "UPDATE firings SET outcome = 'CANCELLED', reason = ?, finished_at = ? "
        "WHERE firing_id = ? AND outcome IN ('WAITING', 'QUEUED') AND started_at IS NULL",
        (reason, timestamp(now), firing_id),
    )
    return changed.rowcount == 1


def release_unstarted(raw: sqlite3.Connection, server: str) -> int:
    """Leave the firings that a server has not started to the next server; return how many those are."""
    changed = raw.execute(
        "UPDATE firings SET server = '' WHERE server = ? AND finished_at IS NULL "
        "AND outcome IN ('WAITING', 'QUEUED')",
        (server,),
    )
    return changed.rowcount


def has_runs_elsewhere(raw: sqlite3.Connection) -> bool:
    """Whether one of the newest firings started a run that is not here: in another database, or pruned."""
    return bool(
        raw.execute(
            "SELECT EXISTS (SELECT 1 FROM (SELECT * FROM firings ORDER BY firing_id DESC LIMIT ?) f "
            "WHERE f.run_id IS NOT NULL AND f.started_at IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM run_state r WHERE r.run_id = f.run_id))",
            (NEWEST_FIRINGS,),
        ).fetchone()[0]
    )


def firing_of_run(raw: sqlite3.Connection, run_id: str) -> Firing | None:
    """Return the firing that a run belongs to."""
    rows = raw.execute("SELECT * FROM firings WHERE run_id = ?", (run_id,))
    return next(iter(as_firings(rows)), None)


_IS_OLD = """finished_at < ? AND EXISTS (
    SELECT 1 FROM firings AS newer WHERE newer.scheduler = firings.scheduler
    AND newer.item_id = firings.item_id AND newer.scheduled_at > firings.scheduled_at)"""


def old_firings(raw: sqlite3.Connection, before: datetime) -> list[int]:
    """Return the ids of the firings that were over before then, but those of the newest time of each item.

    It looks at every firing, so it is no work for a transaction.
    """
    rows = raw.execute(f"SELECT firing_id FROM firings WHERE {_IS_OLD}", (timestamp(before),))  # noqa: S608 - a constant
    return [firing_id for (firing_id,) in rows]


def delete_firings(raw: sqlite3.Connection, ids: Sequence[int], before: datetime) -> None:
    """Delete those of these firings that are still old.

    Up to when the ticks of an item are decided is stored apart: no tick fires again for that.
    """
    raw.executemany(
        f"DELETE FROM firings WHERE {_IS_OLD} AND firing_id = ?",  # noqa: S608 - a constant
        [(timestamp(before), firing_id) for firing_id in ids],
    )
