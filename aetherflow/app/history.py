"""What happened: the runs and locks of a state database, for the commands that show them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec

from aetherflow.app.examine import examine
from aetherflow.app.places import places_of
from aetherflow.config.environment import load_environment
from aetherflow.errors import StateUnusable, UsageError
from aetherflow.store.database import Database
from aetherflow.store.queries import (
    JobRow,
    LockRow,
    RunRow,
    StepRow,
    find_run,
    jobs_of,
    list_locks,
    list_runs,
    steps_of,
)

T = TypeVar("T")


class RunHistory(msgspec.Struct, frozen=True):
    """A run with its jobs and steps."""

    run: RunRow
    jobs: list[JobRow]
    steps: list[StepRow]


def state_of(state: Path | None, flow: Path | None, process_env: Mapping[str, str]) -> Path:
    """Return the state database to look at: the one named, the flow's, or that of the settings.

    Raises:
        StateUnusable: there is none yet.
    """
    if state is not None:
        path = state.absolute()
    elif flow is not None:
        path = places_of(examine(flow, process_env), None).state
    else:
        path = load_environment(process_env).settings.state_root / "aetherflow.sqlite"
    if not path.exists():
        raise StateUnusable(
            f"there is no state database {path}",
            hint="name the one you mean: --state FILE, or --flow-yaml FLOW if a flow has its own",
            code="AF605",
        )
    return path


def runs(path: Path, *, flow_id: str, status: str, limit: int) -> list[RunRow]:
    """Return the newest runs."""
    return _read(path, lambda raw: list_runs(raw, flow_id=flow_id, status=status, limit=limit))


def run_history(path: Path, run_id: str) -> RunHistory:
    """Return a run with its jobs and steps.

    Raises:
        UsageError: there is no such run.
    """

    def read(raw: sqlite3.Connection) -> RunHistory | None:
        run = find_run(raw, run_id)
        return None if run is None else RunHistory(run, jobs_of(raw, run_id), steps_of(raw, run_id))

    history = _read(path, read)
    if history is None:
        raise UsageError(
            f"there is no run {run_id!r} in {path}", hint="aetherflow runs list shows what there is"
        )
    return history


def locks(path: Path) -> list[LockRow]:
    """Return the locks that are held."""
    return _read(path, list_locks)


def step_logs(path: Path, run_id: str) -> list[Path]:
    """Return the log files of the steps of a run, in the order in which they were begun."""
    folder = path.with_name(f"{path.stem}.logs") / run_id
    return sorted(folder.rglob("*.log"), key=lambda file: file.stat().st_mtime_ns)


def _read(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    async def read() -> T:
        database = await Database.open(path)
        try:
            return await database.read(work)
        finally:
            await database.aclose()

    return anyio.run(read)
