"""What happened: the runs and locks of a state database, for the commands that show and end them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec
from msgspec.structs import replace

from aetherflow.cli_hints import cancel_command, state_option
from aetherflow.clock import SystemClock
from aetherflow.config.environment import load_environment
from aetherflow.engine.state import INTERRUPTED
from aetherflow.errors import HeldByAnother, StateUnusable, UsageError
from aetherflow.events.run_events import BundleUse, RunResumed
from aetherflow.runs.load_flow import load_checked_flow
from aetherflow.runs.run_paths import logs_beside, run_paths_of
from aetherflow.runs.start_run import is_masked
from aetherflow.store import named_locks as locks_room
from aetherflow.store.database import Database
from aetherflow.store.filesystem import is_missing
from aetherflow.store.firings import firing_of_run
from aetherflow.store.lease import LeaseValidity, held
from aetherflow.store.queries import (
    AttemptRow,
    JobRow,
    LockRow,
    RunRow,
    StepRow,
    beginnings_of,
    find_run,
    jobs_of,
    list_locks,
    list_runs,
    retries_of,
    steps_of,
)
from aetherflow.store.run_lease import is_executed, request_cancel

T = TypeVar("T")


WAIT_SECONDS = 0.2
"""How often a command that waits for the end of a run looks."""


class Cancellation(msgspec.Struct, frozen=True):
    """Who was asked to cancel a run; `status` is how it ended, if that was waited for."""

    run_id: str
    executed_by: str
    since: str
    status: str | None


class Release(msgspec.Struct, frozen=True):
    """Who held a lock that was released, since when, and whether that lease still counted."""

    lock_key: str
    holder: str
    owner: str
    since: str
    was: LeaseValidity


class RunHistory(msgspec.Struct, frozen=True):
    """A run with its jobs and steps, the attempts that were repeated, and how it was resumed.

    In a run that is INTERRUPTED, what was running is INTERRUPTED too. `bundle` is what its flow was last read
    from, if it was a bundle's.
    """

    run: RunRow
    jobs: list[JobRow]
    steps: list[StepRow]
    resumes: list[RunResumed] = []
    retries: list[AttemptRow] = []
    bundle: BundleUse | None = None

    @property
    def secrets(self) -> list[str]:
        """The parameters that are secret, hence not stored: a resume must be given them again."""
        return [name for name, stored in self.run.params.items() if is_masked(stored)]

    @property
    def interrupted(self) -> list[str]:
        """The steps (`job.step`) that ran when the run's process died."""
        return [f"{step.job_id}.{step.step_id}" for step in self.steps if step.status == INTERRUPTED]


def state_of(
    state: Path | None, flow: Path | None, process_env: Mapping[str, str], *, must_exist: bool = True
) -> Path:
    """Return the state database to look at: the one named, the flow's, or that of the settings.

    Raises:
        StateUnusable: there is none yet, and there must be.
        InvalidInput: the flow file has no right shape.
    """
    if state is not None:
        path = state.absolute()
    elif flow is not None:
        checked = load_checked_flow(flow, process_env)
        checked.raise_if_guessed()
        path = run_paths_of(checked, None).state
    else:
        path = load_environment(process_env).settings.state_root / "aetherflow.sqlite"
    if must_exist and is_missing(path):
        raise StateUnusable(
            f"there is no state database {path}",
            hint="name the one you mean: --state FILE, or --flow-yaml FLOW if a flow has its own",
            code="AF605",
        )
    return path


def runs(path: Path, *, flow_id: str, status: str, limit: int) -> list[RunRow]:
    """Return the newest runs."""
    return read_state(path, lambda raw: list_runs(raw, flow_id=flow_id, status=status, limit=limit))


def run_history(path: Path, run_id: str) -> RunHistory:
    """Return a run with its jobs and steps.

    Raises:
        UsageError: there is no such run.
    """

    def read(raw: sqlite3.Connection) -> RunHistory:
        run = find_run(raw, run_id)
        if run is None:
            raise _no_run(raw, path, run_id)
        begun = beginnings_of(raw, run_id)
        resumes = [event for event in begun if isinstance(event, RunResumed)]
        jobs, steps = jobs_of(raw, run_id), steps_of(raw, run_id)
        if run.status == INTERRUPTED:
            jobs = [replace(job, status=INTERRUPTED) if job.status == "RUNNING" else job for job in jobs]
            steps = [
                replace(step, status=INTERRUPTED) if step.status == "RUNNING" else step for step in steps
            ]
        bundle = begun[-1].bundle if begun else None
        return RunHistory(run, jobs, steps, resumes, retries_of(raw, run_id), bundle)

    return read_state(path, read)


def locks(path: Path) -> list[LockRow]:
    """Return the locks that are held."""
    return read_state(path, lambda raw: list_locks(raw, SystemClock().now()))


def cancel_run(path: Path, run_id: str, *, wait: bool) -> Cancellation:
    """Ask the process that executes a run to cancel it; with `wait`, return when it does so no more.

    Raises:
        UsageError: nobody executes it: it has ended, was interrupted, or there is no such run.
    """
    clock = SystemClock()

    async def cancel(database: Database) -> Cancellation:
        grip = await database.transact(lambda raw: request_cancel(raw, run_id, "runs cancel", clock.now()))
        if grip is None:
            raise await database.read(lambda raw: _not_executed(raw, path, run_id))
        while wait and await database.read(
            lambda raw: is_executed(raw, run_id, grip.generation, clock.now())
        ):
            await clock.sleep(WAIT_SECONDS)
        status = await database.read(lambda raw: _status(raw, run_id, clock.now())) if wait else None
        return Cancellation(run_id, str(grip.holder.owner), grip.holder.acquired_at, status)

    return _with_state(path, cancel)


def release_lock(path: Path, key: str, *, force: bool) -> Release:
    """Take a lock away from a holder that is dead or whose lease ran out; from a live one only by `force`.

    Raises:
        UsageError: nobody holds a lock of that name.
        HeldByAnother: its holder lives, and `force` was not given.
    """

    async def release(database: Database) -> Release:
        now = SystemClock().now
        grip = await database.transact(lambda raw: locks_room.release_lock(raw, key, now(), force=force))
        if grip is None:
            raise UsageError(
                f"nobody holds a lock {key!r} in {path}",
                hint=f"aetherflow locks list {state_option(path)} shows what is held",
            )
        if grip.validity == "live" and not force:
            raise HeldByAnother(
                f"the lock {key!r} is held by {grip.holder}, and its process has not ended",
                hint=f"wait for it, or end its run: {cancel_command(grip.holder.run_id, path)}; with --force "
                "it loses the lock, and its work is stopped",
                code="AF620",
            )
        holder = grip.holder
        return Release(key, holder.holder, str(holder.owner), holder.acquired_at, grip.validity)

    return _with_state(path, release)


def _not_executed(raw: sqlite3.Connection, path: Path, run_id: str) -> UsageError:
    """Return the error of a run that cannot be cancelled because nobody executes it."""
    status = _status(raw, run_id, SystemClock().now())
    if status is None:
        return _no_run(raw, path, run_id)
    return UsageError(
        f"run {run_id} is not being executed: it is {status}",
        hint=f"aetherflow runs show {run_id} {state_option(path)}",
    )


def _no_run(raw: sqlite3.Connection, path: Path, run_id: str) -> UsageError:
    """Return the error of a run that is not there; of a firing, with what became of it."""
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


def _status(raw: sqlite3.Connection, run_id: str, now: datetime) -> str | None:
    """Return the status of a run; INTERRUPTED at once when its process is dead."""
    run = find_run(raw, run_id)
    if run is None:
        return None
    grip = held(raw, f"run:{run_id}", now)
    is_executed_now = grip is not None and grip.validity == "live"
    return INTERRUPTED if run.status == "RUNNING" and not is_executed_now else run.status


def step_logs(path: Path, run_id: str) -> list[Path]:
    """Return the log files of the steps of a run, in the order in which they were begun."""
    folder = logs_beside(path) / run_id
    return sorted(folder.rglob("*.log"), key=lambda file: file.stat().st_mtime_ns)


def read_state(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Return what `work` reads from a state database, also from one that cannot be written."""
    return _with_state(path, lambda database: database.read(work), Database.open_to_look)


def change_state(path: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Do work in one transaction of a state database, which is made if there is none."""
    return _with_state(path, lambda database: database.transact(work))


def _with_state(
    path: Path,
    work: Callable[[Database], Coroutine[Any, Any, T]],
    open_database: Callable[[Path], Coroutine[Any, Any, Database]] = Database.open,
) -> T:
    async def opened() -> T:
        database = await open_database(path)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return anyio.run(opened)
