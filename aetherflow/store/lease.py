"""Read and write leases: which process executes a run, which holds a lock, and whether it still may.

Every acquisition raises the generation, a fencing token: a write with an older generation is refused. The
functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from aetherflow.store.process_identity import ProcessIdentity, is_dead
from aetherflow.store.projection import timestamp

LeaseValidity = Literal["live", "expired", "dead"]
"""A lease is live, or its time is over, or its process is dead."""


_owners = msgspec.json.Decoder(ProcessIdentity)  # made here: two threads must not meet a type at once


class Lease(msgspec.Struct, frozen=True):
    """A lease that this process holds."""

    name: str
    generation: int
    ttl_seconds: float


class LeaseHolder(msgspec.Struct, frozen=True):
    """Another process that holds a lease: who, since when and until when (RFC 3339).

    Attributes:
        run_id: the run for which it is held; empty for the lease of a run itself.
    """

    holder: str
    owner: ProcessIdentity
    acquired_at: str
    expires_at: str
    run_id: str = ""

    def __str__(self) -> str:
        return f"{self.holder} ({self.owner}) since {self.acquired_at}"


class LeaseStatus(msgspec.Struct, frozen=True):
    """A lease that was not released: its holder, and whether it is still valid."""

    holder: LeaseHolder
    generation: int
    validity: LeaseValidity


def acquire(
    raw: sqlite3.Connection,
    name: str,
    owner: ProcessIdentity,
    holder: str,
    *,
    now: datetime,
    ttl_seconds: float,
    run_id: str = "",
) -> Lease | LeaseHolder:
    """Take the lease if it is free, expired, or its process is dead; else return its holder."""
    status = held(raw, name, now)
    if status is not None and status.validity == "live":
        return status.holder
    row = raw.execute("SELECT generation FROM leases WHERE name = ?", (name,)).fetchone()
    generation = 1 if row is None else row[0] + 1
    raw.execute(
        "INSERT OR REPLACE INTO leases (name, generation, owner, holder, acquired_at, expires_at, run_id) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            generation,
            msgspec.json.encode(owner).decode(),
            holder,
            timestamp(now),
            timestamp(now + timedelta(seconds=ttl_seconds)),
            run_id,
        ),
    )
    return Lease(name, generation, ttl_seconds)


def held(raw: sqlite3.Connection, name: str, now: datetime) -> LeaseStatus | None:
    """Return the status of a lease, or None if it was never taken or was released."""
    row = raw.execute(
        "SELECT generation, owner, holder, acquired_at, expires_at, run_id FROM leases "
        "WHERE name = ? AND released_at IS NULL",
        (name,),
    ).fetchone()
    if row is None:
        return None
    holder = LeaseHolder(row[2], _owners.decode(row[1]), row[3], row[4], row[5] or "")
    return LeaseStatus(holder, row[0], lease_validity(holder.owner, holder.expires_at, now))


def lease_validity(owner: ProcessIdentity, expires_at: str, now: datetime) -> LeaseValidity:
    """Return whether a lease that was not released is still valid."""
    if is_dead(owner):
        return "dead"
    return "expired" if expires_at < timestamp(now) else "live"


def renew(raw: sqlite3.Connection, lease: Lease, now: datetime) -> bool:
    """Extend a lease; False if this process no longer holds it."""
    changed = raw.execute(
        "UPDATE leases SET expires_at = ? WHERE name = ? AND generation = ? AND released_at IS NULL",
        (timestamp(now + timedelta(seconds=lease.ttl_seconds)), lease.name, lease.generation),
    )
    return changed.rowcount == 1


def release(raw: sqlite3.Connection, lease: Lease, now: datetime) -> bool:
    """Release a lease; False if this process no longer held it."""
    changed = raw.execute(
        "UPDATE leases SET released_at = ? WHERE name = ? AND generation = ? AND released_at IS NULL",
        (timestamp(now), lease.name, lease.generation),
    )
    return changed.rowcount == 1


def release_all_of(raw: sqlite3.Connection, run_id: str, now: datetime) -> None:
    """Release every lock that is held for a run."""
    raw.execute(
        "UPDATE leases SET released_at = ? WHERE run_id = ? AND released_at IS NULL "
        "AND name >= 'lock:' AND name < 'lock;'",  # by the key: LIKE would read the leases of all runs
        (timestamp(now), run_id),
    )


def is_held(raw: sqlite3.Connection, lease: Lease) -> bool:
    """Whether this process still holds the lease."""
    row = raw.execute(
        "SELECT 1 FROM leases WHERE name = ? AND generation = ? AND released_at IS NULL",
        (lease.name, lease.generation),
    ).fetchone()
    return row is not None
