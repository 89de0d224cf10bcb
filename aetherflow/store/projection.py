"""Project events to the rows of `run_state`, `job_state` and `step_state`. Pure.

Within a batch only the last row of a run, job or step counts: a job that starts and ends in one batch is
written once.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from aetherflow.events import run_events as e
from aetherflow.events.marks import Mark
from aetherflow.events.run_events import waits_for

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
    OR (status NOT IN ('SUCCESS', 'SKIPPED') AND job_id IN (
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


class _Steps(msgspec.Struct):
    """The last event of each step, and when its last attempt began, until rows are made of them."""

    last: dict[tuple[str, str, str], e.StepEvent] = {}
    started: dict[tuple[str, str, str], datetime] = {}


_WITHOUT_ROW = (e.EffectIntended, e.EffectConfirmed, e.LockAwaited, e.LockTaken)


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds: of constant length, so that texts compare as times."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def project(events: Iterable[e.Event]) -> Rows:
    """Return the rows that these events lead to, in order."""
    rows, steps = Rows(), _Steps()
    for event in events:
        if isinstance(event, _WITHOUT_ROW):
            pass  # `runs show` reads effects and waits from the events
        elif isinstance(event, e.StepEvent):
            _note_step(rows, steps, event)
        elif isinstance(event, e.JobEvent):
            _project_job(rows, event)
        else:
            if isinstance(event, e.RunResumed):  # its statements work on the rows so far
                _add_steps(rows, steps)
            _project_run(rows, event)
    _add_steps(rows, steps)
    return rows


def _note_step(rows: Rows, steps: _Steps, event: e.StepEvent) -> None:
    if isinstance(event, e.TRANSIENT):
        raise _transient(event)
    key = (event.run_id, event.job_id, event.step_id)
    steps.last[key] = event
    if isinstance(event, e.StepStarted):
        steps.started[key] = event.at
    elif isinstance(event, e.StepFinished) and event.marks:
        _move_marks(rows, event)


def _add_steps(rows: Rows, steps: _Steps) -> None:
    for key, event in steps.last.items():
        began = steps.started.get(key)
        rows.steps[key] = _step_row(event, timestamp(began) if began else None)
    steps.last.clear()
    steps.started.clear()


def _step_row(event: e.StepEvent, started: str | None) -> Row:
    finished = outputs = error = reason = marks = None
    match event:
        case e.StepWaiting():
            status, reason = "PENDING", waits_for(event)
        case e.StepStarted():
            status = "RUNNING"
        case e.StepRetrying():
            status, error = "PENDING", _json(event.error)
            reason = f"waits {event.wait_seconds:g} s before attempt {event.attempt + 1}"
        case e.StepFinished():
            status, finished = event.status, timestamp(event.at)
            outputs = _json(event.outputs)
            error = _json(event.error) if event.error else None
            reason = event.reason or None
            marks = _json(event.marks) if event.marks else None
        case _:
            raise _transient(event)
    return (
        event.run_id, event.job_id, event.step_id, event.flow_id, event.step_type, status, event.attempt,
        started, finished, outputs, error, reason, marks,
    )  # fmt: skip


def _move_marks(rows: Rows, event: e.StepFinished) -> None:
    row = (timestamp(event.at), event.run_id, event.job_id, event.step_id, "")
    for name, use in event.marks.items():
        rows.marks.append(MarkMove(event.flow_id, name, use.before, use.after, use.set_count, row))


def _project_job(rows: Rows, event: e.JobEvent) -> None:
    key = (event.run_id, event.job_id)
    before = rows.jobs.get(key)
    started = before[4] if before else None
    finished = outputs = error = reason = None
    match event:
        case e.JobStarted():
            status, started = "RUNNING", timestamp(event.at)
        case e.JobFinished():
            status, finished = event.status, timestamp(event.at)
            outputs = _json(event.outputs)
            error = _json(event.error) if event.error else None
            reason = event.reason or None
        case _:
            raise _transient(event)
    rows.jobs[key] = (*key, event.flow_id, status, started, finished, outputs, error, reason)


def _project_run(rows: Rows, event: e.Event) -> None:
    run_id = event.run_id
    match event:
        case e.RunStarted():
            row = (
                run_id, event.flow_id, event.flow_file, "RUNNING", 1, timestamp(event.at), None,
                _json(event.params), "", event.owner,
            )  # fmt: skip
            rows.runs.append((UPSERT_RUN, row))
        case e.RunResumed():
            rerun, removed = _json(event.rerun), _json(event.removed)
            reopened, excluded = _json(event.reopened), _json(event.excluded_jobs)
            _flush(rows)
            if event.removed:
                rows.runs += [(FORGET_JOBS, (run_id, removed)), (FORGET_STEPS, (run_id, removed))]
            rows.runs += [
                (REOPEN_JOBS, (run_id, rerun, event.ending_count, reopened, excluded)),
                (REOPEN_STEPS, (run_id, rerun)),
                (RESUME_RUN, (event.attempt, event.owner, event.flow_file, event.flow_file, run_id)),
            ]
        case e.CancelRequested():
            rows.runs.append((CANCEL_RUN, (event.reason, run_id)))
        case e.HooksStarted():
            pass  # the run is still RUNNING; its hooks have rows of their own
        case e.RunFinished():
            rows.runs.append((FINISH_RUN, (event.status, timestamp(event.at), event.reason, run_id)))
        case _:
            raise _transient(event)


def _transient(event: e.Event) -> TypeError:
    return TypeError(f"{type(event).__name__} is not part of a run's history")


def _flush(rows: Rows) -> None:
    """Append the rows of jobs and steps so far to the statements: those that follow work on them."""
    rows.runs += [(UPSERT_JOB, row) for row in rows.jobs.values()]
    rows.runs += [(UPSERT_STEP, row) for row in rows.steps.values()]
    rows.jobs.clear()
    rows.steps.clear()


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
