"""Project events to the rows of `run_state`, `job_state` and `step_state`. Pure.

Within a batch only the last row of a run, job or step counts: a job that starts and ends in one batch is
written once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from aetherflow.events import run_events as e
from aetherflow.events.event_words import waits_for
from aetherflow.events.marks import Mark

UPSERT_RUN = """
INSERT INTO run_state (
    run_id, flow_id, flow_file, status, attempt, started_at, finished_at, params, reason, owner)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
RESUME_RUN = """
UPDATE run_state SET status = 'RUNNING', attempt = ?, finished_at = NULL, reason = '', owner = ?,
       flow_file = CASE WHEN ? = '' THEN flow_file ELSE ? END WHERE run_id = ?
"""
CANCEL_RUN = "UPDATE run_state SET reason = ? WHERE run_id = ?"
FINISH_RUN = "UPDATE run_state SET status = ?, finished_at = ?, reason = ? WHERE run_id = ?"

FORGET_JOBS = "DELETE FROM job_state WHERE run_id = ?1 AND job_id IN (SELECT value FROM json_each(?2))"
FORGET_STEPS = """
DELETE FROM step_state WHERE run_id = ?1 AND (
    job_id IN (SELECT value FROM json_each(?2))
    OR job_id || '/' || step_id IN (SELECT value FROM json_each(?2)))
"""
REOPEN_JOBS = """
UPDATE job_state SET status = 'PENDING', started_at = NULL, finished_at = NULL, outputs = NULL,
       error = NULL, reason = NULL
WHERE run_id = ?1
  AND (job_id NOT LIKE '@%' OR CAST(substr(job_id || '.1', instr(job_id || '.1', '.') + 1) AS INTEGER) > ?3)
  AND NOT (
    status IN ('FAILED', 'BLOCKED', 'CANCELLED')
    AND substr(job_id, 1, instr(job_id || '[', '[') - 1) IN (SELECT value FROM json_each(?5)))
  AND (
    status NOT IN ('SUCCESS', 'SKIPPED') OR job_id IN (SELECT value FROM json_each(?2))
    OR job_id IN (SELECT value FROM json_each(?4))
    OR EXISTS (SELECT 1 FROM step_state s JOIN json_each(?2) r ON r.value = s.job_id || '/' || s.step_id
               WHERE s.run_id = ?1 AND s.job_id = job_state.job_id))
"""
REOPEN_STEPS = """
UPDATE step_state SET status = 'PENDING', attempt = 0, started_at = NULL, finished_at = NULL, outputs = NULL,
       error = NULL, reason = NULL, marks = NULL
WHERE run_id = ?1 AND (
    job_id IN (SELECT value FROM json_each(?2))
    OR job_id || '/' || step_id IN (SELECT value FROM json_each(?2))
    OR (status NOT IN ('SUCCESS', 'SKIPPED')
        AND NOT (status = 'RUNNING' AND job_id || '/' || step_id IN (SELECT value FROM json_each(?3)))
        AND job_id IN (
        SELECT job_id FROM job_state WHERE run_id = ?1 AND status = 'PENDING')))
"""
UPSERT_JOB = """
INSERT INTO job_state (run_id, job_id, flow_id, status, started_at, finished_at, outputs, error, reason)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET status = excluded.status, started_at = coalesce(excluded.started_at, started_at),
    finished_at = excluded.finished_at, outputs = excluded.outputs, error = excluded.error,
    reason = excluded.reason
"""
UPSERT_STEP = """
INSERT INTO step_state (run_id, job_id, step_id, flow_id, step_type, status, attempt, started_at, finished_at,
    outputs, error, reason, marks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET step_type = excluded.step_type, status = excluded.status,
    attempt = excluded.attempt, started_at = coalesce(excluded.started_at, started_at),
    finished_at = excluded.finished_at, outputs = excluded.outputs, error = excluded.error,
    reason = excluded.reason, marks = excluded.marks
"""

Row = tuple[Any, ...]


class MarkMove(msgspec.Struct, frozen=True):
    """A step that has succeeded moves a mark; `row` is when, its run, job and step, and no person."""

    flow_id: str
    name: str
    before: Mark | None
    after: Mark | None
    set_count: int
    row: tuple[str, str, str, str, str]


class Rows(msgspec.Struct):
    """The changes of a batch of events: statements in order, then the last row of each job and step.

    Attributes:
        marks: what is done to high-water marks, which runs share; see `aetherflow.store.marks`.
    """

    runs: list[tuple[str, Row]] = []
    jobs: dict[tuple[str, str], Row] = {}
    steps: dict[tuple[str, str, str], Row] = {}
    marks: list[MarkMove] = []


_JOB_STARTED_AT, _STEP_STARTED_AT = 4, 7
"""The places of `started_at` in the rows."""


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds: of constant length, so that texts compare as times."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


_at = lru_cache(maxsize=64)(timestamp)
"""The time of an event as text: all events of one reaction of the machine have one time."""


def project(events: Iterable[e.Event]) -> Rows:
    """Return the rows that these events lead to, in order."""
    rows = Rows()
    for event in events:
        add = _PROJECTIONS.get(type(event))
        if add is None:
            raise TypeError(f"{type(event).__name__} is not part of a run's history")
        add(rows, event)
    return rows


def _without_row(_rows: Rows, _event: e.Event) -> None:
    """Change nothing: `runs show` reads effects, waits, places and refused results from the events."""


def _put_step(
    rows: Rows,
    event: e.StepEvent,
    status: str,
    *,
    started: str | None = None,
    finished: str | None = None,
    outputs: str | None = None,
    error: str | None = None,
    reason: str | None = None,
    marks: str | None = None,
) -> None:
    """Replace the row of a step; when it began, an earlier event of the batch may say."""
    key = (event.run_id, event.job_id, event.step_id)
    if started is None and (before := rows.steps.get(key)) is not None:
        started = before[_STEP_STARTED_AT]
    rows.steps[key] = (
        *key, event.flow_id, event.step_type, status, event.attempt,
        started, finished, outputs, error, reason, marks,
    )  # fmt: skip


def _step_waits(rows: Rows, event: e.StepWaiting) -> None:
    _put_step(rows, event, "PENDING", reason=waits_for(event))


def _step_started(rows: Rows, event: e.StepStarted) -> None:
    _put_step(rows, event, "RUNNING", started=_at(event.at))


def _step_retries(rows: Rows, event: e.StepRetrying) -> None:
    reason = f"waits {event.wait_seconds:g} s before attempt {event.attempt + 1}"
    _put_step(rows, event, "PENDING", error=_json(event.error), reason=reason)


def _step_finished(rows: Rows, event: e.StepFinished) -> None:
    if event.marks:
        _move_marks(rows, event)
    _put_step(
        rows,
        event,
        event.status,
        finished=_at(event.at),
        outputs=_json(event.outputs),
        error=_json(event.error) if event.error else None,
        reason=event.reason or None,
        marks=_json(event.marks) if event.marks else None,
    )


def _move_marks(rows: Rows, event: e.StepFinished) -> None:
    row = (_at(event.at), event.run_id, event.job_id, event.step_id, "")
    for name, use in event.marks.items():
        rows.marks.append(MarkMove(event.flow_id, name, use.before, use.after, use.set_count, row))


def _job_started(rows: Rows, event: e.JobStarted) -> None:
    key = (event.run_id, event.job_id)
    rows.jobs[key] = (*key, event.flow_id, "RUNNING", _at(event.at), None, None, None, None)


def _job_finished(rows: Rows, event: e.JobFinished) -> None:
    key = (event.run_id, event.job_id)
    before = rows.jobs.get(key)
    rows.jobs[key] = (
        *key, event.flow_id, event.status, before[_JOB_STARTED_AT] if before else None, _at(event.at),
        _json(event.outputs), _json(event.error) if event.error else None, event.reason or None,
    )  # fmt: skip


def _run_started(rows: Rows, event: e.RunStarted) -> None:
    row = (
        event.run_id, event.flow_id, event.flow_file, "RUNNING", 1, _at(event.at), None,
        _json(event.params), "", event.owner,
    )  # fmt: skip
    rows.runs.append((UPSERT_RUN, row))


def _run_resumed(rows: Rows, event: e.RunResumed) -> None:
    run_id, rerun, removed = event.run_id, _json(event.rerun), _json(event.removed)
    reopened, excluded = _json(event.reopened), _json(event.excluded_jobs)
    _flush(rows)
    if event.removed:
        rows.runs += [(FORGET_JOBS, (run_id, removed)), (FORGET_STEPS, (run_id, removed))]
    rows.runs += [
        (REOPEN_JOBS, (run_id, rerun, event.ending_count, reopened, excluded)),
        (REOPEN_STEPS, (run_id, rerun, _json(event.reattached))),
        (RESUME_RUN, (event.attempt, event.owner, event.flow_file, event.flow_file, run_id)),
    ]


def _cancel_requested(rows: Rows, event: e.CancelRequested) -> None:
    rows.runs.append((CANCEL_RUN, (event.reason, event.run_id)))


def _run_finished(rows: Rows, event: e.RunFinished) -> None:
    rows.runs.append((FINISH_RUN, (event.status, _at(event.at), event.reason, event.run_id)))


_PROJECTIONS: Mapping[type[e.Event], Callable[[Rows, Any], None]] = {
    e.RunStarted: _run_started,
    e.RunResumed: _run_resumed,
    e.CancelRequested: _cancel_requested,
    e.HooksStarted: _without_row,  # the run is still RUNNING; its hooks have rows of their own
    e.RunFinished: _run_finished,
    e.JobStarted: _job_started,
    e.JobFinished: _job_finished,
    e.StepWaiting: _step_waits,
    e.StepStarted: _step_started,
    e.StepPlaced: _without_row,
    e.ResultRefused: _without_row,
    e.StepRetrying: _step_retries,
    e.StepFinished: _step_finished,
    e.LockAwaited: _without_row,
    e.LockTaken: _without_row,
    e.EffectIntended: _without_row,
    e.EffectConfirmed: _without_row,
}
"""How each kind of event changes the rows; a kind that is not here is not part of a run's history."""


def _flush(rows: Rows) -> None:
    """Append the rows of jobs and steps so far to the statements: those that follow work on them."""
    rows.runs += [(UPSERT_JOB, row) for row in rows.jobs.values()]
    rows.runs += [(UPSERT_STEP, row) for row in rows.steps.values()]
    rows.jobs.clear()
    rows.steps.clear()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
