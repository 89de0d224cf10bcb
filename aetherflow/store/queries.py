"""Read runs, their jobs and steps, and locks from a state database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.events.marks import MarkUse
from aetherflow.events.run_events import EffectConfirmed, EffectIntended, RunResumed, RunStarted
from aetherflow.store.lease import LeaseValidity, held, lease_validity
from aetherflow.store.process_identity import ProcessIdentity, is_dead
from aetherflow.store.projection import timestamp

_owners = msgspec.json.Decoder(ProcessIdentity)
_beginnings = msgspec.json.Decoder(RunStarted | RunResumed)
_marks = msgspec.json.Decoder(dict[str, MarkUse])
_effects = msgspec.json.Decoder(EffectIntended | EffectConfirmed)


class RunRow(msgspec.Struct, frozen=True):
    """One run; `status` is INTERRUPTED when its process died."""

    run_id: str
    flow_id: str
    flow_file: str
    status: str
    attempt: int
    started_at: str
    finished_at: str | None
    params: dict[str, Any]
    reason: str
    owner: str


class StepRow(msgspec.Struct, frozen=True):
    """One step of a run that has started or ended."""

    job_id: str
    step_id: str
    step_type: str
    status: str
    attempt: int
    started_at: str | None
    finished_at: str | None
    outputs: dict[str, Any] | None
    error: dict[str, Any] | None
    reason: str | None
    marks: dict[str, MarkUse] = {}


class JobRow(msgspec.Struct, frozen=True):
    """One job of a run that has started or ended; of an instance with its item in few characters."""

    job_id: str
    status: str
    started_at: str | None
    finished_at: str | None
    outputs: dict[str, Any] | None
    error: dict[str, Any] | None
    reason: str | None
    item: str = ""


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt of a step that failed and was followed by another one, after a wait."""

    job_id: str
    step_id: str
    attempt: int
    started_at: str
    failed_at: str
    wait_seconds: float
    error: dict[str, Any]


class EffectRow(msgspec.Struct, frozen=True):
    """An effect that a step intended; `confirmed_at` is None if it is not known whether it happened."""

    job_id: str
    step_id: str
    key: str
    attempt: int
    intended_at: str
    confirmed_at: str | None
    detail: dict[str, Any] = {}
    result: dict[str, Any] = {}


class LockRow(msgspec.Struct, frozen=True):
    """One lock that is held; `process` says which process its owner is, where, and since when it runs.

    Attributes:
        validity: live; or dead or expired: then the next request gets the lock.
    """

    lock_key: str
    holder: str
    owner: str
    acquired_at: str
    expires_at: str
    generation: int
    process: str
    validity: LeaseValidity


def list_runs(
    raw: sqlite3.Connection, *, flow_id: str = "", status: str = "", limit: int = 20
) -> list[RunRow]:
    """Return the newest runs first."""
    return list(islice(_newest(raw, flow_id, [status.upper()] if status else []), limit))


def find_run(raw: sqlite3.Connection, run_id: str) -> RunRow | None:
    """Return one run, or None if there is none of that id."""
    row = raw.execute(
        "SELECT run_id, flow_id, flow_file, status, attempt, started_at, finished_at, params, reason, owner "
        "FROM runs WHERE run_id = ?",
        (run_id,),
    ).fetchone()
    return None if row is None else _run(raw, row)


def _newest(raw: sqlite3.Connection, flow_id: str, statuses: Sequence[str]) -> Iterator[RunRow]:
    """Yield the newest runs first: of a flow, if one is named, and with these statuses, if there are any."""
    rows = raw.execute(
        "SELECT run_id, flow_id, flow_file, status, attempt, started_at, finished_at, params, reason, owner "
        "FROM runs WHERE (?1 = '' OR flow_id = ?1) AND (?2 = '[]' OR status = 'RUNNING' "
        "OR status IN (SELECT value FROM json_each(?2))) ORDER BY started_at DESC, run_id",
        (flow_id, msgspec.json.encode(statuses).decode()),
    )
    for row in rows:
        run = _run(raw, row)
        if not statuses or run.status in statuses:
            yield run


def last_unfinished_run(raw: sqlite3.Connection, flow_id: str = "") -> RunRow | None:
    """Return the newest run that failed, was cancelled or whose process died; None if there is none."""
    return next(_newest(raw, flow_id, ["FAILED", "CANCELLED", "INTERRUPTED"]), None)


def running_runs(raw: sqlite3.Connection, flow_id: str, now: datetime) -> list[str]:
    """Return the ids of the runs of a flow that processes execute now, the oldest first."""
    rows = raw.execute(
        "SELECT run_id FROM run_state WHERE flow_id = ? AND status = 'RUNNING' ORDER BY started_at, run_id",
        (flow_id,),
    ).fetchall()
    leases = [(run_id, held(raw, f"run:{run_id}", now)) for (run_id,) in rows]
    return [run_id for run_id, lease in leases if lease is not None and lease.validity == "live"]


def beginnings_of(raw: sqlite3.Connection, run_id: str) -> list[RunStarted | RunResumed]:
    """Return the events that started and resumed a run, in order."""
    rows = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event IN ('run_started', 'run_resumed') "
        "ORDER BY seq",
        (run_id,),
    )
    return [_beginnings.decode(payload) for (payload,) in rows]


def jobs_of(raw: sqlite3.Connection, run_id: str) -> list[JobRow]:
    """Return the jobs of a run in the order in which they started."""
    rows = raw.execute(
        "SELECT job_id, status, started_at, finished_at, outputs, error, reason FROM job_state "
        "WHERE run_id = ? ORDER BY coalesce(started_at, finished_at), job_id",
        (run_id,),
    )
    items = _items_of(raw, run_id)
    return [JobRow(*_decoded((*row, items.get(row[0], "")), 4, 5)) for row in rows]


def _items_of(raw: sqlite3.Connection, run_id: str) -> dict[str, str]:
    """Return the items of the instances of mapped jobs, in few characters."""
    rows = raw.execute(
        "SELECT job_id, json_extract(payload, '$.item') FROM events "
        "WHERE run_id = ? AND event = 'job_started' AND json_extract(payload, '$.item') IS NOT NULL",
        (run_id,),
    )
    return dict(rows.fetchall())


def steps_of(raw: sqlite3.Connection, run_id: str) -> list[StepRow]:
    """Return the steps of a run in the order in which they started."""
    rows = raw.execute(
        "SELECT job_id, step_id, step_type, status, attempt, started_at, finished_at, outputs, error, "
        "reason, coalesce(marks, '{}') FROM step_state WHERE run_id = ? "
        "ORDER BY coalesce(started_at, finished_at), job_id, step_id",
        (run_id,),
    )
    return [StepRow(*[*_decoded(row[:-1], 7, 8), _marks.decode(row[-1])]) for row in rows]


def retries_of(raw: sqlite3.Connection, run_id: str) -> list[AttemptRow]:
    """Return the attempts of a run that were repeated, in order: what was waited before the next, and why."""
    rows = raw.execute(
        "SELECT job_id, step_id, attempt, started_at, finished_at, wait_seconds, error FROM attempts "
        "WHERE run_id = ? AND wait_seconds IS NOT NULL ORDER BY seq",
        (run_id,),
    )
    return [AttemptRow(*_decoded(row, 6)) for row in rows]


def effects_of(raw: sqlite3.Connection, run_id: str) -> list[EffectRow]:
    """Return the effects that the steps of a run intended, in that order, and which of them are confirmed."""
    found: dict[tuple[str, str, str], EffectRow] = {}
    rows = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event IN ('effect_intended', 'effect_confirmed') "
        "ORDER BY seq",
        (run_id,),
    )
    for (payload,) in rows:
        event = _effects.decode(payload)
        name = (event.job_id, event.step_id, event.key)
        if isinstance(event, EffectIntended):
            found[name] = EffectRow(*name, event.attempt, timestamp(event.at), None, event.detail)
        elif name in found:
            found[name] = replace(found[name], confirmed_at=timestamp(event.at), result=event.result)
    return list(found.values())


def list_locks(raw: sqlite3.Connection, now: datetime) -> list[LockRow]:
    """Return the locks that are held, the oldest first."""
    rows = raw.execute(
        "SELECT lock_key, holder, owner, acquired_at, expires_at, generation FROM locks ORDER BY acquired_at"
    )
    return [_lock(row, now) for row in rows]


def newest_time(raw: sqlite3.Connection) -> datetime | None:
    """Return the latest time at which one of the newest hundred runs started or ended."""
    (text,) = raw.execute(
        "SELECT max(at) FROM (SELECT max(started_at, coalesce(finished_at, started_at)) AS at"
        " FROM run_state ORDER BY started_at DESC LIMIT 100)"
    ).fetchone()
    return datetime.fromisoformat(text) if text else None


def _lock(row: tuple[Any, ...], now: datetime) -> LockRow:
    owner = _owners.decode(row[2])
    return LockRow(*(*row, _process(owner), lease_validity(owner, row[4], now)))


def _process(known: ProcessIdentity) -> str:
    return f"{known}, which started at {known.started_at}" if known.started_at else str(known)


def _run(raw: sqlite3.Connection, row: tuple[Any, ...]) -> RunRow:
    """Return a run; unlike the view, which checks only the time of leases, this sees a dead local process."""
    run = RunRow(*_decoded(row, 7))
    if run.status != "RUNNING":
        return run
    lease = raw.execute(
        "SELECT owner FROM leases WHERE name = ? AND released_at IS NULL", (f"run:{run.run_id}",)
    ).fetchone()
    if lease is not None and is_dead(_owners.decode(lease[0])):
        return replace(run, status="INTERRUPTED")
    return run


def _decoded(row: tuple[Any, ...], *columns: int) -> list[Any]:
    """Return a row with these columns read as JSON."""
    values = list(row)
    for column in columns:
        values[column] = None if values[column] is None else msgspec.json.decode(values[column])
    return values
