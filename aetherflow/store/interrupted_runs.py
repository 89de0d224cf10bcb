"""Find the runs that dead servers left INTERRUPTED: a server started them, and their lease has ended."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aetherflow.events.run_events import RunResumed, RunStarted
from aetherflow.store.lease import held
from aetherflow.store.queries import beginnings_of


def interrupted_runs(raw: sqlite3.Connection, now: datetime) -> list[RunStarted | RunResumed]:
    """Return the last beginnings of the runs that died with the server that executed them, the oldest first.

    A run that a person started or resumed with `aetherflow run` is left to that person.
    """
    rows = raw.execute("SELECT run_id FROM run_state WHERE status = 'RUNNING' ORDER BY started_at, run_id")
    found = [_left_behind(raw, run_id, now) for (run_id,) in rows.fetchall()]
    return [run for run in found if run is not None]


def _left_behind(raw: sqlite3.Connection, run_id: str, now: datetime) -> RunStarted | RunResumed | None:
    status = held(raw, f"run:{run_id}", now)
    if status is not None and status.validity == "live":
        return None
    last = next(reversed(beginnings_of(raw, run_id)), None)
    return last if last is not None and last.origin == "serve" else None
