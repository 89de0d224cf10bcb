"""Claim a run: take its lease, renew it, and request a cancellation.

The clock is read inside the transaction: before it there may be a long wait for another process.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from aetherflow.cli_hints import cancel_command, state_option
from aetherflow.clock import Clock
from aetherflow.errors import LockHeld, RunInUse
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.journal import LeaseLost, lease_lost
from aetherflow.store.lease import Lease, LeaseHolder, LeaseStatus
from aetherflow.store.process_identity import ProcessIdentity, this_process

TTL_SECONDS = 30.0
"""How long the lease of a run on a dead host stays valid; a dead local process is noticed immediately."""


LOOK_SECONDS = 1.0
"""How often a process checks whether it still holds the lease of its run, and whether it was cancelled."""


class RunClaim(msgspec.Struct, frozen=True):
    """A run that this process may execute: the lease, and the number of the next event."""

    lease: Lease
    next_seq: int


async def claim_run(
    database: Database,
    run_id: str,
    owner: ProcessIdentity,
    clock: Clock,
    also: Callable[[sqlite3.Connection], None] = lambda _raw: None,
) -> RunClaim:
    """Take the lease of a run; from then on nobody else adds to its history.

    Locks and slots that an earlier process still holds for the run are released: it may no longer write,
    so it must not block its own run. `also` is called in the same transaction; if it raises,
    nothing is done.

    Raises:
        RunInUse: another process executes the run; the message says which, and since when (exit 75).
        StateError: the database could not be used.
    """

    def claim(raw: sqlite3.Connection) -> RunClaim | LeaseHolder:
        lease = leases.acquire(
            raw, f"run:{run_id}", owner, f"run {run_id}", now=clock.now(), ttl_seconds=TTL_SECONDS
        )
        if isinstance(lease, LeaseHolder):
            return lease
        leases.release_all_of(raw, run_id, clock.now())
        raw.execute("DELETE FROM pool_claims WHERE run_id = ?", (run_id,))
        also(raw)
        last = raw.execute("SELECT coalesce(max(seq), 0) FROM events WHERE run_id = ?", (run_id,)).fetchone()
        return RunClaim(lease, last[0] + 1)

    lease = await database.transact(claim)
    if isinstance(lease, LeaseHolder):
        raise RunInUse(
            f"run {run_id} is being executed by {lease.owner} since {lease.acquired_at}",
            hint=f"wait until it has ended, end it ({cancel_command(run_id, database.path)}), or give "
            "another --run-id",
            state=database.path,
        )
    return lease


async def claim_flow(
    database: Database, flow_id: str, run_id: str, owner: ProcessIdentity, clock: Clock, ttl_seconds: float
) -> Lease:
    """Take the lock that allows only one run of the flow at a time; `keep_alive` renews it.

    Raises:
        LockHeld: another run of the flow is being executed; the message says which, and since when (exit 75).
        StateError: the database could not be used.
    """
    lease = await database.transact(
        lambda raw: leases.acquire(
            raw,
            f"lock:flow:{flow_id}",
            owner,
            f"{flow_id}, run {run_id}",
            now=clock.now(),
            ttl_seconds=ttl_seconds,
            run_id=run_id,
        )
    )
    if isinstance(lease, LeaseHolder):
        raise LockHeld(
            f"one run of the flow {flow_id} at a time (locks.scope: flow): the lock 'flow:{flow_id}' "
            f"is held by {lease}",
            hint=_how_to_get(f"flow:{flow_id}", lease, database.path),
        )
    return lease


def _how_to_get(key: str, other: LeaseHolder, state: Path) -> str:
    """Return what to do about the lock of another run; a holder on another host may or may not be alive."""
    hint = f"wait until that run has ended, or end it: {cancel_command(other.run_id, state)}"
    if other.owner.host == this_process().host:
        return hint
    release = f"aetherflow locks release {shlex.quote(key)} --force {state_option(state)}"
    return f"{hint}; if its machine is gone: {release}"


async def keep_alive(
    database: Database, lease: Lease, clock: Clock, on_cancel: Callable[[str], None] = lambda _reason: None
) -> LeaseLost:
    """Renew the lease until it is lost, and return the error that says so; cancel to stop.

    Args:
        database: where the lease is.
        lease: of a run, or the lock of a flow.
        clock: gives the times to check and to renew.
        on_cancel: called with the reason, again and again, once the run has been cancelled.

    Raises:
        StateError: the database could not be used.
    """
    renewing = clock.monotonic()
    while True:
        await clock.sleep(min(LOOK_SECONDS, lease.ttl_seconds / 3))
        if clock.monotonic() - renewing >= lease.ttl_seconds / 3:
            if not await renew_run(database, lease, clock):
                return lease_lost(lease)
            renewing = clock.monotonic()
        is_held, reason = await database.read(lambda raw: _look(raw, lease))
        if not is_held:
            return lease_lost(lease)
        if reason is not None:
            on_cancel(reason)


def request_cancel(raw: sqlite3.Connection, run_id: str, reason: str, now: datetime) -> LeaseStatus | None:
    """Ask the process that executes a run to cancel it; return its lease, or None if no process does."""
    lease = leases.held(raw, f"run:{run_id}", now)
    if lease is None or lease.validity != "live":
        return None
    raw.execute("UPDATE leases SET cancel_reason = ? WHERE name = ?", (reason, f"run:{run_id}"))
    return lease


def is_executed(raw: sqlite3.Connection, run_id: str, generation: int, now: datetime) -> bool:
    """Whether a process still executes the run that it had under this generation of its lease."""
    lease = leases.held(raw, f"run:{run_id}", now)
    return lease is not None and lease.generation == generation and lease.validity == "live"


def _look(raw: sqlite3.Connection, lease: Lease) -> tuple[bool, str | None]:
    """Return whether this process holds the lease, and why its run was cancelled."""
    row = raw.execute(
        "SELECT cancel_reason FROM leases WHERE name = ? AND generation = ? AND released_at IS NULL",
        (lease.name, lease.generation),
    ).fetchone()
    return (False, None) if row is None else (True, row[0])


async def renew_run(database: Database, lease: Lease, clock: Clock) -> bool:
    """Renew a run's lease; False if this process no longer holds it."""
    return await database.transact(lambda raw: leases.renew(raw, lease, clock.now()))


async def release_run(database: Database, lease: Lease, clock: Clock) -> None:
    """Release the lease of a run."""
    await database.transact(lambda raw: leases.release(raw, lease, clock.now()))
