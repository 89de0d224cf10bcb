"""Find the run that a command names: by its id, by the beginning of its id, or the newest one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aetherflow.cli_hints import state_option
from aetherflow.errors import UsageError
from aetherflow.store.firings import firing_of_run
from aetherflow.store.run_rows import RunFilter, RunRow, find_run, list_runs, runs_with_prefix

_SHOWN = 5


def named_run(raw: sqlite3.Connection, path: Path, name: str) -> RunRow:
    """Return the run with this id, else the only one whose id begins so; without a name the newest.

    Raises:
        UsageError: there is none, or the ids of several runs begin so.
    """
    if not name:
        if newest := list_runs(raw, RunFilter(), 1):
            return newest[0]
        raise UsageError(f"there are no runs in {path}", hint="the first run makes one: aetherflow run FLOW")
    if (run := find_run(raw, name)) is not None:
        return run
    ids = runs_with_prefix(raw, name, _SHOWN + 1)
    if len(ids) == 1 and (run := find_run(raw, ids[0])) is not None:
        return run
    if not ids:
        raise no_run(raw, path, name)
    more = " ..." if len(ids) > _SHOWN else ""
    raise UsageError(
        f"the ids of several runs begin with {name!r}: {', '.join(ids[:_SHOWN])}{more}",
        hint="give more of the id",
    )


def no_run(raw: sqlite3.Connection, path: Path, run_id: str) -> UsageError:
    """Return the error for a run that does not exist; if a firing has its id, with the firing's outcome."""
    firing = firing_of_run(raw, run_id)
    if firing is None:
        return UsageError(
            f"there is no run {run_id!r} in {path}",
            hint=f"aetherflow runs list {state_option(path)} shows what there is",
        )
    why = f": {firing.reason}" if firing.reason else ""
    return UsageError(
        f"run {run_id} is not in {path}: the firing of item {firing.item_id!r} at {firing.scheduled_at} "
        f"is {firing.outcome}{why}",
        hint=f"aetherflow scheduler status {state_option(path)}; a flow with a state.path has its runs there",
    )
