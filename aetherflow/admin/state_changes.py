"""Change a state database for the commands: cancel a run, release a lock, set pools and marks. Async."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from aetherflow.admin import stored_marks
from aetherflow.admin.named_run import named_run, no_run
from aetherflow.admin.stored_marks import MarkChange
from aetherflow.cli_hints import cancel_command, show_command, state_option
from aetherflow.clock import SystemClock
from aetherflow.engine.transitions import INTERRUPTED
from aetherflow.errors import HeldByAnother, LockHeld, UsageError
from aetherflow.server.this_person import this_person
from aetherflow.store import named_locks
from aetherflow.store import pools as pool_rows
from aetherflow.store.database import Database
from aetherflow.store.lease import LeaseStatus, LeaseValidity, held
from aetherflow.store.run_lease import is_executed, request_cancel
from aetherflow.store.run_rows import find_run

WAIT_SECONDS = 0.2
"""How often a command that waits for the end of a run reads its status."""

MOST_SLOTS = 1_000_000


_clock = SystemClock()


class Cancellation(msgspec.Struct, frozen=True):
    """The process that must cancel a run; `status` is how the run ended, if the command waited for that."""

    run_id: str
    executed_by: str
    since: str
    status: str | None


class Release(msgspec.Struct, frozen=True):
    """The holder of a lock that was released, since when, and whether its lease was still valid."""

    lock_key: str
    holder: str
    owner: str
    since: str
    was: LeaseValidity


async def cancel_run(database: Database, run_id: str, *, wait: bool) -> Cancellation:
    """Request the process that executes a run to cancel it; with `wait`, return when the run has ended.

    The run is named by its id, or by the beginning of its id if no other run has that.

    Raises:
        UsageError: no process executes the run: it has ended, was interrupted, or does not exist; or the ids
            of several runs begin so.
        StateError: the database cannot be used.
    """

    def request(raw: sqlite3.Connection) -> tuple[str, LeaseStatus | None]:
        now = _clock.now()
        if (lease := request_cancel(raw, run_id, "runs cancel", now)) is not None:
            return run_id, lease
        found = named_run(raw, database.path, run_id).run_id
        return found, request_cancel(raw, found, "runs cancel", now)

    run_id, lease = await database.transact(request)
    if lease is None:
        raise await database.read(lambda raw: _not_executed(raw, database.path, run_id, _clock.now()))
    while wait and await database.read(lambda raw: is_executed(raw, run_id, lease.generation, _clock.now())):
        await _clock.sleep(WAIT_SECONDS)
    status = await database.read(lambda raw: _status(raw, run_id, _clock.now())) if wait else None
    return Cancellation(run_id, str(lease.holder.owner), lease.holder.acquired_at, status)


async def release_lock(database: Database, key: str, *, force: bool) -> Release:
    """Release a lock whose holder is dead or whose lease has expired; a live holder's only with `force`.

    Raises:
        UsageError: there is no lock with that name.
        LockHeld: the holder is alive, and `force` is false.
        StateError: the database cannot be used.
    """
    path = database.path
    lease = await database.transact(lambda raw: named_locks.release_lock(raw, key, _clock.now(), force=force))
    if lease is None:
        raise UsageError(
            f"nobody holds a lock {key!r} in {path}",
            hint=f"aetherflow locks list {state_option(path)} shows what is held",
        )
    if lease.validity == "live" and not force:
        raise LockHeld(
            f"the lock {key!r} is held by {lease.holder}, and its process has not ended",
            hint=f"wait for it, or end its run: {cancel_command(lease.holder.run_id, path)}; with --force "
            "it loses the lock, and its work is stopped",
        )
    holder = lease.holder
    return Release(key, holder.holder, str(holder.owner), holder.acquired_at, lease.validity)


async def change_mark(
    database: Database, name: str, flow_id: str, written: tuple[str, str] | None, *, force: bool
) -> MarkChange:
    """Set a mark to a value and a type as they are written, or delete it (None).

    Raises:
        UsageError: the mark is unknown and incomplete, or the value is not of its type.
        HeldByAnother: a run of the flow is being executed, and `force` is false.
        StateError: the database cannot be used.
    """
    path, person = database.path, this_person()
    return await database.transact(
        lambda raw: stored_marks.change_mark(
            raw, path, name, flow_id, written, force=force, person=person, now=_clock.now()
        )
    )


async def set_pools(database: Database, sizes: Mapping[str, int]) -> None:
    """Create pools, or change their sizes.

    Raises:
        UsageError: a size is out of range.
        StateError: the database cannot be used.
    """
    for name, slots in sizes.items():
        check_slots(name, slots)

    def work(raw: sqlite3.Connection) -> None:
        for name, slots in sizes.items():
            pool_rows.set_pool(raw, name, slots, _clock.now())

    await database.transact(work)


def check_slots(name: str, slots: int) -> None:
    """Check the size of a pool.

    Raises:
        UsageError: the size is out of range.
    """
    if not 1 <= slots <= MOST_SLOTS:
        raise UsageError(f"pool {name}: {slots} slots; it has at least 1 and at most {MOST_SLOTS}")


async def remove_pool(database: Database, name: str) -> None:
    """Remove an unused pool.

    Raises:
        UsageError: there is no pool with that name.
        HeldByAnother: steps hold its slots or wait for them.
        StateError: the database cannot be used.
    """
    path = database.path

    def work(raw: sqlite3.Connection) -> None:
        found = {pool.name: pool for pool in pool_rows.list_pools(raw, _clock.now())}.get(name)
        if found is None:
            raise UsageError(
                f"there is no pool {name!r} in {path}",
                hint=f"aetherflow pools list {state_option(path)} shows what there is",
            )
        if found.held or found.waiting:
            who = (*found.held, *found.waiting)[0].holder
            raise HeldByAnother(
                f"the pool {name!r} is in use by {who}",
                hint=f"wait for it to end: aetherflow pools list {state_option(path)}",
                code="AF643",
            )
        pool_rows.remove_pool(raw, name)

    await database.transact(work)


def _not_executed(raw: sqlite3.Connection, path: Path, run_id: str, now: datetime) -> UsageError:
    """Return the error for a run that cannot be cancelled because no process executes it."""
    status = _status(raw, run_id, now)
    if status is None:
        return no_run(raw, path, run_id)
    return UsageError(
        f"run {run_id} is not being executed: it is {status}",
        hint=show_command(run_id, path),
    )


def _status(raw: sqlite3.Connection, run_id: str, now: datetime) -> str | None:
    """Return the status of a run, which is INTERRUPTED as soon as its process is dead."""
    run = find_run(raw, run_id)
    if run is None:
        return None
    lease = held(raw, f"run:{run_id}", now)
    is_executed_now = lease is not None and lease.validity == "live"
    return INTERRUPTED if run.status == "RUNNING" and not is_executed_now else run.status
