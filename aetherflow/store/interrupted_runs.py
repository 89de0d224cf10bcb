"""Find the runs that dead servers left INTERRUPTED: a server started them, and their lease has ended."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Any

import msgspec

from aetherflow.events.run_events import BundleUse, RunResumed, RunStarted
from aetherflow.store.lease import held

_beginning = msgspec.json.Decoder(RunStarted | RunResumed)


class InterruptedRun(msgspec.Struct, frozen=True):
    """An interrupted run of a server, with what is needed to resume it."""

    run_id: str
    flow_id: str
    flow_file: str
    directory: str
    selected_job: str
    bundle: BundleUse | None = None


def interrupted_runs(raw: sqlite3.Connection, now: datetime) -> list[InterruptedRun]:
    """Return the runs that a server executed last and that died with it, the oldest first.

    A run that a person started or resumed with `aetherflow run` is left to that person.
    """
    rows = raw.execute("SELECT run_id FROM run_state WHERE status = 'RUNNING' ORDER BY started_at, run_id")
    found = [_left_behind(raw, run_id, now) for (run_id,) in rows.fetchall()]
    return [run for run in found if run is not None]


def _left_behind(raw: sqlite3.Connection, run_id: str, now: datetime) -> InterruptedRun | None:
    status = held(raw, f"run:{run_id}", now)
    if status is not None and status.validity == "live":
        return None
    payload: Any = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND event IN ('run_started', 'run_resumed') "
        "ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    last = None if payload is None else _beginning.decode(payload[0])
    if last is None or last.origin != "serve":
        return None
    return InterruptedRun(
        run_id,
        last.flow_id,
        last.flow_file,
        last.directory,
        last.selected_job,
        last.bundle,
    )
