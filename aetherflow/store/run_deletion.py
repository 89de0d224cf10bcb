"""Deleting old runs, a few rows at a time, while others run.

A run is taken out of sight first: in one transaction its lease is taken for good (its tombstone), and its
row goes. Nobody can go on with it from then on, so that its history may be deleted in many small
transactions, and a prune that was killed leaves nothing that looks like a run: the next one finishes it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from aetherflow.store import lease as leases
from aetherflow.store.lease import LeaseHolder
from aetherflow.store.process_identity import ProcessIdentity
from aetherflow.store.projection import timestamp

BATCH_ROWS = 500
"""How many rows one transaction deletes: some milliseconds for which a running flow may wait."""

_TOMBSTONE = "runs prune"
_LASTING_TOMBSTONE = "runs prune; its generation must not come back"
_FOR_GOOD = "9999-12-31T23:59:59.999999Z"

_SELECT = """
SELECT run_id, flow_id, status, attempt, ended_at FROM (
    SELECT run_id, flow_id, status, attempt,
           CASE status WHEN 'INTERRUPTED' THEN coalesce(
               (SELECT at FROM events e WHERE e.run_id = r.run_id ORDER BY seq DESC LIMIT 1), started_at)
           ELSE coalesce(finished_at, started_at) END AS ended_at,
           row_number() OVER (
               PARTITION BY flow_id, status = 'INTERRUPTED' ORDER BY started_at DESC, run_id) AS place
    FROM runs r WHERE status <> 'RUNNING'
)
WHERE (:before IS NULL OR ended_at < :before)
AND CASE status WHEN 'INTERRUPTED' THEN :before IS NOT NULL ELSE :keep IS NULL OR place > :keep END
ORDER BY ended_at, run_id
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
    """A run that may go; `ended_at` of an interrupted one is when it was last heard of."""

    run_id: str
    flow_id: str
    status: str
    attempt: int
    ended_at: str


def old_runs(raw: sqlite3.Connection, *, before: datetime | None, keep: int | None) -> list[OldRun]:
    """Return the runs that no rule keeps, the oldest first.

    A rule keeps what ended after `before`, another the newest `keep` runs of each flow. Only age lets an
    interrupted run go, since somebody may still want to resume it; a RUNNING one stays.
    """
    limits = {"before": None if before is None else timestamp(before), "keep": keep}
    return [OldRun(*row) for row in raw.execute(_SELECT, limits)]


def bury(
    raw: sqlite3.Connection, runs: Sequence[OldRun], owner: ProcessIdentity, now: datetime
) -> list[OldRun]:
    """Take runs out of sight, for good; return those that nobody has taken up since they were looked at."""
    buried = []
    for run in runs:
        same = raw.execute(
            "SELECT 1 FROM run_state WHERE run_id = ? AND attempt = ?", (run.run_id, run.attempt)
        ).fetchone()
        if same is not None and _bury(raw, f"run:{run.run_id}", owner, now):
            raw.execute("DELETE FROM run_state WHERE run_id = ?", (run.run_id,))
            buried.append(run)
    return buried


def _bury(raw: sqlite3.Connection, name: str, owner: ProcessIdentity, now: datetime) -> bool:
    """Take the lease of a run without an end; False if somebody has it."""
    one_holder = raw.execute(
        "SELECT 1 FROM leases WHERE name = ? AND generation = 1 AND released_at IS NOT NULL", (name,)
    ).fetchone()
    holder = _TOMBSTONE if one_holder else _LASTING_TOMBSTONE
    if isinstance(leases.acquire(raw, name, owner, holder, now=now, ttl_seconds=0), LeaseHolder):
        return False
    lasting = msgspec.structs.replace(owner, host=f"{owner.host} (runs prune)")  # nobody can see it die
    raw.execute(
        "UPDATE leases SET owner = ?, expires_at = ? WHERE name = ?",
        (msgspec.json.encode(lasting).decode(), _FOR_GOOD, name),
    )
    return True


def unfinished(raw: sqlite3.Connection) -> list[str]:
    """Return the ids of runs that are buried and not yet forgotten."""
    rows = raw.execute(
        "SELECT substr(name, 5) FROM leases WHERE name LIKE 'run:%' AND holder IN (?, ?) "
        "AND released_at IS NULL",
        (_TOMBSTONE, _LASTING_TOMBSTONE),
    )
    return [run_id for (run_id,) in rows]


def delete_rows(raw: sqlite3.Connection, run_ids: Sequence[str], limit: int = BATCH_ROWS) -> int:
    """Delete at most `limit` rows of buried runs; return how many, less than `limit` when all are gone."""
    left = limit
    for run_id in run_ids:
        for statement in (_DELETE_EVENTS, _DELETE_STEPS, _DELETE_JOBS):
            if left > 0:
                left -= raw.execute(statement, (run_id, left)).rowcount
    return limit - left


def forget(raw: sqlite3.Connection, run_ids: Sequence[str], now: datetime) -> None:
    """Make the ids of buried runs free again.

    The lease of a run that one process held, and gave back, goes too. Any other row stays, released: a
    process that was paused may wake up, and must not find its own generation in a new run of that id.
    """
    for run_id in run_ids:
        name = f"run:{run_id}"
        raw.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, _TOMBSTONE))
        raw.execute(
            "UPDATE leases SET released_at = ? WHERE name = ? AND holder = ? AND released_at IS NULL",
            (timestamp(now), name, _LASTING_TOMBSTONE),
        )


def free_bytes(raw: sqlite3.Connection) -> int:
    """Copy what nobody reads from the log into the file, and return the space in it that is free again."""
    raw.execute("PRAGMA wal_checkpoint(PASSIVE)")  # the only kind that never makes anybody wait
    pages: int = raw.execute("PRAGMA freelist_count").fetchone()[0]
    size: int = raw.execute("PRAGMA page_size").fetchone()[0]
    return pages * size
