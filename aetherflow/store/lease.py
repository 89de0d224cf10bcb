"""Leases: who may write for a run, who holds a lock. A lease ends by release, by time, or with its process.

Every acquisition raises the generation; a write that names an older one is refused (a fencing token). The
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
"""What a lease is worth: it counts, its time is over, or its process has ended."""


_owners = msgspec.json.Decoder(ProcessIdentity)  # made here: two threads must not meet a type at once


class Lease(msgspec.Struct, frozen=True):
    """A lease that this process was given."""

    name: str
    generation: int
    ttl_seconds: float


class LeaseHolder(msgspec.Struct, frozen=True):
    """Somebody else who holds a lease: a sentence about who, since when and until when (RFC 3339).

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
    """A lease that was not given back: who has it, and whether that still keeps others out."""

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
    """Take the lease if it is free, has run out, or its process is dead; else say who has it."""
    grip = held(raw, name, now)
    if grip is not None and grip.validity == "live":
        return grip.holder
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
    """Return who has the lease, or None if it was never taken or was given back."""
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
    """Return what a lease is worth that was not given back."""
    if is_dead(owner):
        return "dead"
    return "expired" if expires_at < timestamp(now) else "live"


def renew(raw: sqlite3.Connection, lease: Lease, now: datetime) -> bool:
    """Move the end of a lease; False if it is ours no more."""
    changed = raw.execute(
        "UPDATE leases SET expires_at = ? WHERE name = ? AND generation = ? AND released_at IS NULL",
        (timestamp(now + timedelta(seconds=lease.ttl_seconds)), lease.name, lease.generation),
    )
    return changed.rowcount == 1


def release(raw: sqlite3.Connection, lease: Lease, now: datetime) -> bool:
    """Give a lease back; False if it was ours no more."""
    changed = raw.execute(
        "UPDATE leases SET released_at = ? WHERE name = ? AND generation = ? AND released_at IS NULL",
        (timestamp(now), lease.name, lease.generation),
    )
    return changed.rowcount == 1


def release_all_of(raw: sqlite3.Connection, run_id: str, now: datetime) -> None:
    """Give back every lock that is held for a run."""
    raw.execute(
        "UPDATE leases SET released_at = ? WHERE run_id = ? AND name LIKE 'lock:%' AND released_at IS NULL",
        (timestamp(now), run_id),
    )


def is_ours(raw: sqlite3.Connection, lease: Lease) -> bool:
    """Whether nobody else has taken the lease since."""
    return (
        raw.execute(
            "SELECT 1 FROM leases WHERE name = ? AND generation = ? AND released_at IS NULL",
            (lease.name, lease.generation),
        ).fetchone()
        is not None
    )
