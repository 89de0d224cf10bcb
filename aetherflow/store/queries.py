"""Read the jobs, steps, attempts and effects of a run, and locks, from a state database."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.events.marks import MarkUse
from aetherflow.events.run_events import (
    EffectConfirmed,
    EffectIntended,
    LockAwaited,
    LockTaken,
    ResultRefused,
    RunResumed,
    RunStarted,
    StepPlaced,
    StepStarted,
    StepWaiting,
)
from aetherflow.store.lease import LeaseValidity, lease_validity
from aetherflow.store.process_identity import ProcessIdentity
from aetherflow.store.projection import timestamp

_owners = msgspec.json.Decoder(ProcessIdentity)
_beginnings = msgspec.json.Decoder(RunStarted | RunResumed)
_marks = msgspec.json.Decoder(dict[str, MarkUse])
_places = msgspec.json.Decoder(StepStarted | StepPlaced)
_refused = msgspec.json.Decoder(ResultRefused)
_waits = msgspec.json.Decoder(StepWaiting)
_lock_waits = msgspec.json.Decoder(LockAwaited | LockTaken)
_effects = msgspec.json.Decoder(EffectIntended | EffectConfirmed)


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
    """One job of a run that has started or ended; of an instance with its item in few characters.

    Attributes:
        saw: the gate that was open, with the values that it read.
    """

    job_id: str
    status: str
    started_at: str | None
    finished_at: str | None
    outputs: dict[str, Any] | None
    error: dict[str, Any] | None
    reason: str | None
    item: str = ""
    saw: str = ""


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt of a step that failed and was followed by another one, after a wait.

    Attributes:
        max_attempts: how many attempts the flow allows; 0 if unknown.
    """

    job_id: str
    step_id: str
    attempt: int
    started_at: str
    failed_at: str
    wait_seconds: float
    error: dict[str, Any]
    max_attempts: int = 0


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


class WaitRow(msgspec.Struct, frozen=True):
    """A wait of a step: for slots of a pool, before an attempt; or for a lock, in the attempt.

    Attributes:
        ended_at: when the attempt began, or had the lock; None if it waits still, or waited in vain.
        held_by: who held the slots when the wait was reported last; the first ones only.
        ahead: how many others waited before it then.
        lock: the lock; then there is no pool, and there are no slots.
    """

    job_id: str
    step_id: str
    pool: str
    slots: int
    size: int
    since: str
    ended_at: str | None
    held_by: list[str] = []
    ahead: int = 0
    lock: str = ""


class PlaceRow(msgspec.Struct, frozen=True):
    """An attempt of a step that was given to an executor, and the worker that has begun it.

    Attributes:
        given_at: when the attempt was given to the executor.
        worker: empty while no worker has begun it.
        begun_at: when the worker began; None: it has not.
        is_reattached: a resumed run found it on its worker, where it went on.
    """

    job_id: str
    step_id: str
    attempt: int
    executor: str
    given_at: str
    worker: str = ""
    host: str = ""
    begun_at: str | None = None
    is_reattached: bool = False


class RefusedRow(msgspec.Struct, frozen=True):
    """A result of an attempt that did not count any more, as it came, and was refused.

    Attributes:
        worker: which sent it; empty: it never asked whether it may begin the attempt.
    """

    job_id: str
    step_id: str
    attempt: int
    executor: str
    worker: str
    host: str
    reason: str
    at: str


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


def beginnings_of(raw: sqlite3.Connection, run_id: str) -> list[RunStarted | RunResumed]:
    """Return the events that started and resumed a run, in order."""
    rows = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event IN ('run_started', 'run_resumed') "
        "ORDER BY seq",
        (run_id,),
    )
    return [_beginnings.decode(payload) for (payload,) in rows]


def stale_of(raw: sqlite3.Connection, run_id: str) -> dict[str, list[str]]:
    """Return the stale results of a run, as its last event about them has them."""
    row = raw.execute(
        "SELECT json_extract(payload, '$.stale') FROM events "
        "WHERE run_id = ? AND event IN ('run_resumed', 'run_finished') ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return msgspec.json.decode(row[0], type=dict[str, list[str]]) if row and row[0] else {}


def resume_from_of(raw: sqlite3.Connection, run_id: str) -> list[str]:
    """Return what a resume of a run must run again as well, as its last end has it."""
    row = raw.execute(
        "SELECT json_extract(payload, '$.resume_from') FROM events "
        "WHERE run_id = ? AND event = 'run_finished' ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return msgspec.json.decode(row[0], type=list[str]) if row and row[0] else []


def jobs_of(raw: sqlite3.Connection, run_id: str) -> list[JobRow]:
    """Return the jobs of a run in the order in which they started."""
    rows = raw.execute(
        "SELECT job_id, status, started_at, finished_at, outputs, error, reason FROM job_state "
        "WHERE run_id = ? ORDER BY coalesce(started_at, finished_at), job_id",
        (run_id,),
    )
    starts = _starts_of(raw, run_id)
    return [JobRow(*_decoded((*row, *starts.get(row[0], ("", ""))), 4, 5)) for row in rows]


def _starts_of(raw: sqlite3.Connection, run_id: str) -> dict[str, tuple[str, str]]:
    """Return the item of each instance of a mapped job, in few characters, and what the gate of a job saw."""
    rows = raw.execute(
        "SELECT job_id, json_extract(payload, '$.item'), json_extract(payload, '$.saw') FROM events "
        "WHERE run_id = ? AND event = 'job_started' ORDER BY seq",
        (run_id,),
    )
    return {job_id: (item or "", saw or "") for job_id, item, saw in rows}


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
    allowed = raw.execute(
        "SELECT job_id, step_id, coalesce(json_extract(payload, '$.max_attempts'), 0) FROM events "
        "WHERE run_id = ? AND event = 'step_retrying' ORDER BY seq",
        (run_id,),
    )
    most = {(job_id, step_id): number for job_id, step_id, number in allowed}
    if not most:
        return []  # as of most runs: the view looks at every attempt of the run
    rows = raw.execute(
        "SELECT job_id, step_id, attempt, started_at, finished_at, wait_seconds, error FROM attempts "
        "WHERE run_id = ? AND wait_seconds IS NOT NULL ORDER BY seq",
        (run_id,),
    )
    found = [AttemptRow(*_decoded(row, 6)) for row in rows]
    return [replace(one, max_attempts=most.get((one.job_id, one.step_id), 0)) for one in found]


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


def waits_of(raw: sqlite3.Connection, run_id: str) -> list[WaitRow]:
    """Return the waits of a run's steps: for slots of pools, then for locks, in the order of their begin."""
    return [*_pool_waits(raw, run_id), *_waits_for_locks(raw, run_id)]


def places_of(raw: sqlite3.Connection, run_id: str) -> list[PlaceRow]:
    """Return where the attempts of a run ran that were given to executors, in the order of their begin."""
    found: dict[tuple[str, str], PlaceRow] = {}
    places: list[tuple[str, str]] = []
    ended: list[PlaceRow] = []
    for (payload,) in raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND (event = 'step_placed' OR "
        "(event = 'step_started' AND json_extract(payload, '$.executor') <> '')) ORDER BY seq",
        (run_id,),
    ):
        event = _places.decode(payload)
        name, at = (event.job_id, event.step_id), timestamp(event.at)
        if isinstance(event, StepStarted):
            if name in found:
                ended.append(found.pop(name))
            else:
                places.append(name)
            found[name] = PlaceRow(*name, event.attempt, event.executor, at)
        elif (given := found.get(name)) is not None:
            found[name] = replace(
                given,
                worker=event.worker,
                host=event.host,
                begun_at=given.begun_at or at,
                is_reattached=event.is_reattached,
            )
    return sorted([*ended, *found.values()], key=lambda one: one.given_at)


def refused_of(raw: sqlite3.Connection, run_id: str) -> list[RefusedRow]:
    """Return the results of attempts of a run that were refused, in their order."""
    found = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event = 'result_refused' ORDER BY seq", (run_id,)
    )
    return [
        RefusedRow(
            event.job_id,
            event.step_id,
            event.attempt,
            event.executor,
            event.worker,
            event.host,
            event.reason,
            timestamp(event.at),
        )
        for event in (_refused.decode(payload) for (payload,) in found)
    ]


def _waits_for_locks(raw: sqlite3.Connection, run_id: str) -> list[WaitRow]:
    found: list[WaitRow] = []
    waiting: dict[tuple[str, str, str], int] = {}
    for (payload,) in raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event IN ('lock_awaited', 'lock_taken') "
        "ORDER BY seq",
        (run_id,),
    ):
        event = _lock_waits.decode(payload)
        name, at = (event.job_id, event.step_id), timestamp(event.at)
        if isinstance(event, LockAwaited):
            waiting[*name, event.lock] = len(found)
            held = f"{event.held_by} since {event.since}" if event.since else event.held_by
            found.append(WaitRow(*name, "", 0, 0, at, None, [held], lock=event.lock))
        elif (number := waiting.pop((*name, event.lock), None)) is not None:
            found[number] = replace(found[number], ended_at=at)
    return found


def _pool_waits(raw: sqlite3.Connection, run_id: str) -> list[WaitRow]:
    rows = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event = 'step_waiting' ORDER BY seq", (run_id,)
    ).fetchall()
    if not rows:
        return []
    ends: dict[tuple[str, str], list[str]] = {}
    for job_id, step_id, at in raw.execute(
        "SELECT job_id, step_id, at FROM events WHERE run_id = ? "
        "AND event IN ('step_started', 'step_finished') ORDER BY seq",
        (run_id,),
    ):
        ends.setdefault((job_id, step_id), []).append(at)
    found: dict[tuple[str, str, str | None], WaitRow] = {}
    for (payload,) in rows:
        event = _waits.decode(payload)
        name, at = (event.job_id, event.step_id), timestamp(event.at)
        end = next((one for one in ends.get(name, ()) if _instant(one) >= event.at), None)
        first = found.get((*name, end))
        found[*name, end] = WaitRow(
            *name,
            event.pool,
            event.slots,
            event.size,
            first.since if first else at,
            timestamp(_instant(end)) if end else None,
            event.held_by,
            event.ahead,
        )
    return list(found.values())


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


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


def _decoded(row: tuple[Any, ...], *columns: int) -> list[Any]:
    """Return a row with these columns read as JSON."""
    values = list(row)
    for column in columns:
        values[column] = None if values[column] is None else msgspec.json.decode(values[column])
    return values
