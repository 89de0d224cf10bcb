"""Delete old runs, a few rows at a time, while other runs execute.

A run is hidden first: one transaction takes its lease for ever (the tombstone) and deletes its row. From then
on the run cannot be resumed, so its history can be deleted in many small transactions. If a prune is killed,
nothing is left that looks like a run; the next prune finishes the work.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from aetherflow.store import lease as leases
from aetherflow.store.alerts import forget_runs
from aetherflow.store.distinct_values import distinct_values
from aetherflow.store.lease import LeaseHolder
from aetherflow.store.process_identity import ProcessIdentity
from aetherflow.store.projection import timestamp

BATCH_ROWS = 500
"""Rows deleted in one transaction: a running flow waits some milliseconds for it at most."""

_TOMBSTONE = "runs prune"
_LASTING_TOMBSTONE = "runs prune; its generation must not come back"
_FOR_EVER = "9999-12-31T23:59:59.999999Z"

_ENDED = """
SELECT run_id, flow_id, status, attempt, coalesce(finished_at, started_at) AS ended_at
FROM run_state WHERE status <> 'RUNNING' AND started_at < :before AND ended_at < :before
"""
_ENDED_OF_FLOW = """
SELECT run_id, flow_id, status, attempt, ended_at FROM (
    SELECT run_id, flow_id, status, attempt, coalesce(finished_at, started_at) AS ended_at FROM run_state
    WHERE flow_id = :flow AND status <> 'RUNNING' ORDER BY started_at DESC, run_id LIMIT -1 OFFSET :keep)
WHERE :before IS NULL OR ended_at < :before
"""
_INTERRUPTED = """
SELECT run_id, flow_id, status, attempt, ended_at FROM (
    SELECT r.*, coalesce((SELECT at FROM events e WHERE e.run_id = r.run_id ORDER BY seq DESC LIMIT 1),
        r.started_at) AS ended_at
    FROM run_state s JOIN runs r USING (run_id) WHERE s.status = 'RUNNING' AND r.status = 'INTERRUPTED')
WHERE ended_at < :before
"""

_DELETE_EVENTS = """
DELETE FROM events WHERE run_id = ?1
AND seq IN (SELECT seq FROM events WHERE run_id = ?1 LIMIT ?2)
"""
_DELETE_STEPS = """
DELETE FROM step_state WHERE run_id = ?1
AND (job_id, step_id) IN (SELECT job_id, step_id FROM step_state WHERE run_id = ?1 LIMIT ?2)
"""
_DELETE_JOBS = """
DELETE FROM job_state WHERE run_id = ?1
AND job_id IN (SELECT job_id FROM job_state WHERE run_id = ?1 LIMIT ?2)
"""


class OldRun(msgspec.Struct, frozen=True):
    """A run that may be deleted; `ended_at` of an interrupted run is the time of its last event."""

    run_id: str
    flow_id: str
    status: str
    attempt: int
    ended_at: str


def old_runs(raw: sqlite3.Connection, *, before: datetime | None, keep: int | None) -> list[OldRun]:
    """Return the runs that no rule protects, the oldest first.

    One rule protects what ended after `before`, another the newest `keep` runs of each flow. An interrupted
    run is deleted by age only, since it may still be resumed; a RUNNING run is never deleted.
    """
    limits = {"before": None if before is None else timestamp(before), "keep": keep}
    rows: list[tuple[Any, ...]] = []
    if keep is not None:
        for flow in distinct_values(raw, "run_state", "flow_id"):
            rows += raw.execute(_ENDED_OF_FLOW, limits | {"flow": flow})
    elif before is not None:
        rows += raw.execute(_ENDED, limits)
    if before is not None:
        rows += raw.execute(_INTERRUPTED, limits)
    return sorted((OldRun(*row) for row in rows), key=lambda run: (run.ended_at, run.run_id))


def hide(
    raw: sqlite3.Connection, runs: Sequence[OldRun], owner: ProcessIdentity, now: datetime
) -> list[OldRun]:
    """Hide runs for ever and return those that were hidden; runs that were resumed meanwhile are not."""
    hidden = []
    for run in runs:
        same = raw.execute(
            "SELECT 1 FROM run_state WHERE run_id = ? AND attempt = ?", (run.run_id, run.attempt)
        ).fetchone()
        if same is not None and _take_for_ever(raw, f"run:{run.run_id}", owner, now):
            raw.execute("DELETE FROM run_state WHERE run_id = ?", (run.run_id,))
            hidden.append(run)
    forget_runs(raw, [run.run_id for run in hidden])  # else a server would think they were never started
    return hidden


def _take_for_ever(raw: sqlite3.Connection, name: str, owner: ProcessIdentity, now: datetime) -> bool:
    """Take the lease of a run for ever; False if another process holds it."""
    one_holder = raw.execute(
        "SELECT 1 FROM leases WHERE name = ? AND generation = 1 AND released_at IS NOT NULL", (name,)
    ).fetchone()
    holder = _TOMBSTONE if one_holder else _LASTING_TOMBSTONE
    if isinstance(leases.acquire(raw, name, owner, holder, now=now, ttl_seconds=0), LeaseHolder):
        return False
    lasting = msgspec.structs.replace(owner, host=f"{owner.host} (runs prune)")  # never looks dead
    raw.execute(
        "UPDATE leases SET owner = ?, expires_at = ? WHERE name = ?",
        (msgspec.json.encode(lasting).decode(), _FOR_EVER, name),
    )
    return True


def hidden_runs(raw: sqlite3.Connection) -> list[str]:
    """Return the ids of runs that are hidden and whose rows are not all deleted yet."""
    rows = raw.execute(
        "SELECT substr(name, 5) FROM leases WHERE name >= 'run:' AND name < 'run;' AND holder IN (?, ?) "
        "AND released_at IS NULL",
        (_TOMBSTONE, _LASTING_TOMBSTONE),
    )
    return [run_id for (run_id,) in rows]


def delete_rows(raw: sqlite3.Connection, run_ids: Sequence[str], limit: int = BATCH_ROWS) -> int:
    """Delete at most `limit` rows of hidden runs; return how many: fewer than `limit` when none is left."""
    left = limit
    for run_id in run_ids:
        for statement in (_DELETE_EVENTS, _DELETE_STEPS, _DELETE_JOBS):
            if left > 0:
                left -= raw.execute(statement, (run_id, left)).rowcount
    return limit - left


def free_run_ids(raw: sqlite3.Connection, run_ids: Sequence[str], now: datetime) -> None:
    """Make the ids of deleted runs usable again.

    If only one process ever held the lease of a run, and released it, the lease is deleted too. Any other
    lease stays, released: a paused process may wake up, and must not find its own generation in a new run.
    """
    for run_id in run_ids:
        name = f"run:{run_id}"
        raw.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, _TOMBSTONE))
        raw.execute(
            "UPDATE leases SET released_at = ? WHERE name = ? AND holder = ? AND released_at IS NULL",
            (timestamp(now), name, _LASTING_TOMBSTONE),
        )


def free_bytes(raw: sqlite3.Connection) -> int:
    """Copy what no reader needs from the write-ahead log into the file; return the free bytes in the file."""
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")  # the only mode that blocks no other process
    pages: int = raw.execute("PRAGMA freelist_count").fetchone()[0]
    size: int = raw.execute("PRAGMA page_size").fetchone()[0]
    return pages * size
