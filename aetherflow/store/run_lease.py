"""Taking up a run: its lease, its history, and the heartbeat that keeps it ours.

The clock is read inside of the transaction: before it there may be a long wait for another process.
"""

from __future__ import annotations

import msgspec

from aetherflow.clock import Clock
from aetherflow.engine.events import Event
from aetherflow.errors import HeldByAnother
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.journal import LeaseLost, lease_lost, read_events
from aetherflow.store.lease import Holder, Lease
from aetherflow.store.owner import Owner

TTL_SECONDS = 30.0
"""How long a run on a host that died keeps others out; on the same host a dead process is seen at once."""


class Claim(msgspec.Struct, frozen=True):
    """A run that is ours: the lease, what happened so far, the number of the next event."""

    lease: Lease
    history: list[Event]
    next_seq: int


async def claim_run(database: Database, run_id: str, owner: Owner, clock: Clock) -> Claim:
    """Take the lease of a run and read its history, in one transaction.

    Raises:
        HeldByAnother: another process executes the run; who, and since when (exit 75).
        StateError: the database could not be used.
    """
    lease, history, last = await database.transact(
        lambda raw: (
            leases.acquire(
                raw, f"run:{run_id}", owner, f"run {run_id}", now=clock.now(), ttl_seconds=TTL_SECONDS
            ),
            read_events(raw, run_id),
            raw.execute("SELECT coalesce(max(seq), 0) FROM events WHERE run_id = ?", (run_id,)).fetchone()[0],
        )
    )
    if isinstance(lease, Holder):
        raise HeldByAnother(
            f"run {run_id} is being executed by {lease.owner} since {lease.acquired_at}",
            hint="wait until it has ended, or give another --run-id",
        )
    return Claim(lease, history, last + 1)


async def keep_alive(database: Database, lease: Lease, clock: Clock) -> LeaseLost:
    """Renew the lease until it is lost, and return the error that says so; cancel to stop.

    Raises:
        StateError: the database could not be used.
    """
    while True:
        await clock.sleep(lease.ttl_seconds / 3)
        if not await renew_run(database, lease, clock):
            return lease_lost(lease)


async def renew_run(database: Database, lease: Lease, clock: Clock) -> bool:
    """Move the end of a run's lease; False if it is ours no more."""
    return await database.transact(lambda raw: leases.renew(raw, lease, clock.now()))


async def release_run(database: Database, lease: Lease, clock: Clock) -> None:
    """Give the lease of a run back."""
    await database.transact(lambda raw: leases.release(raw, lease, clock.now()))
