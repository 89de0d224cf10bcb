"""Add to runs what a list shows of them: how long they took, what fired them, why they failed."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import msgspec

from aetherflow.store.run_rows import RunFilter, RunRow, list_runs
from aetherflow.store.stored_times import seconds_between

_FAILED_STEP = """
SELECT s.job_id || '.' || s.step_id, s.error FROM job_state j JOIN step_state s USING (run_id, job_id)
WHERE run_id = ? AND j.status = 'FAILED' AND s.status = 'FAILED' ORDER BY s.finished_at LIMIT 1
"""
_FAILED_JOB = """
SELECT job_id, error FROM job_state WHERE run_id = ? AND status = 'FAILED' AND error IS NOT NULL
ORDER BY finished_at LIMIT 1
"""


class FiredBy(msgspec.Struct, frozen=True):
    """The firing that started a run; `scheduled_at` is its tick (UTC)."""

    scheduler: str
    item: str
    scheduled_at: str
    cause: str


class ListedRun(RunRow, frozen=True):
    """A run in a list.

    Attributes:
        duration_seconds: of its last execution; up to now if it runs, up to its last event if it was
            interrupted.
        fired_by: the item and its tick; None if a person started it.
        failed_step: the first step that failed, as `job.step`; a job that failed before a step.
        failure: the message of that failure, its first line.
        failure_code: the code of that failure.
    """

    duration_seconds: float | None = None
    fired_by: FiredBy | None = None
    failed_step: str = ""
    failure: str = ""
    failure_code: str = ""


def listed_runs(raw: sqlite3.Connection, wanted: RunFilter, limit: int, now: datetime) -> list[ListedRun]:
    """Return the newest runs that fit, the newest first, with what a list shows of them."""
    return [listed(raw, run, now) for run in list_runs(raw, wanted, limit)]


def listed(raw: sqlite3.Connection, run: RunRow, now: datetime) -> ListedRun:
    """Return a run with what a list shows of it."""
    step, error = _failure(raw, run) if run.status == "FAILED" else ("", {})
    return ListedRun(
        **msgspec.structs.asdict(run),
        duration_seconds=_duration(raw, run, now),
        fired_by=_fired_by(raw, run.run_id),
        failed_step=step,
        failure=str(error.get("message", "")).partition("\n")[0],
        failure_code=str(error.get("code", "")),
    )


def _duration(raw: sqlite3.Connection, run: RunRow, now: datetime) -> float | None:
    """Return how many seconds the last execution took; the newest events are read first."""
    if run.finished_at is not None:
        row = raw.execute(
            "SELECT json_extract(payload, '$.duration_seconds') FROM events "
            "WHERE run_id = ? AND event = 'run_finished' ORDER BY seq DESC LIMIT 1",
            (run.run_id,),
        ).fetchone()
        return None if row is None else row[0]
    begun_at = run.started_at
    if run.attempt > 1:
        (begun_at,) = raw.execute(
            "SELECT at FROM events WHERE run_id = ? AND event = 'run_resumed' ORDER BY seq DESC LIMIT 1",
            (run.run_id,),
        ).fetchone() or (begun_at,)
    end = now.isoformat()
    if run.status != "RUNNING":
        (end,) = raw.execute(
            "SELECT at FROM events WHERE run_id = ? ORDER BY seq DESC LIMIT 1", (run.run_id,)
        ).fetchone()
    return round(seconds_between(begun_at, end), 3)


def _fired_by(raw: sqlite3.Connection, run_id: str) -> FiredBy | None:
    row = raw.execute(
        "SELECT scheduler, item_id, scheduled_at, cause FROM firings WHERE run_id = ?", (run_id,)
    ).fetchone()
    return None if row is None else FiredBy(*row)


def _failure(raw: sqlite3.Connection, run: RunRow) -> tuple[str, dict[str, Any]]:
    """Return the first step, or else job, whose failure made the run fail, and its error."""
    of_run = (run.run_id,)
    row = raw.execute(_FAILED_STEP, of_run).fetchone() or raw.execute(_FAILED_JOB, of_run).fetchone()
    if row is None:
        return "", {}
    return row[0], msgspec.json.decode(row[1]) if row[1] else {}
