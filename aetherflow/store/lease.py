"""Leases: who may write for a run, who holds a lock. A lease ends by release, by time, or with its process.

Every acquisition raises the generation; a write that names an older one is refused (a fencing token). The
functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

import msgspec

from aetherflow.store.owner import Owner, is_dead
from aetherflow.store.projection import timestamp


class Lease(msgspec.Struct, frozen=True):
    """A lease that this process was given."""

    name: str
    generation: int
    ttl_seconds: float


class Holder(msgspec.Struct, frozen=True):
    """Somebody else who holds a lease: a sentence about who, since when and until when (RFC 3339)."""

    holder: str
    owner: Owner
    acquired_at: str
    expires_at: str

    def __str__(self) -> str:
        return f"{self.holder} ({self.owner}) since {self.acquired_at}"


def acquire(
    raw: sqlite3.Connection, name: str, owner: Owner, holder: str, *, now: datetime, ttl_seconds: float
) -> Lease | Holder:
    """Take the lease if it is free, has run out, or its process is dead; else say who has it."""
    row = raw.execute(
        "SELECT generation, owner, holder, acquired_at, expires_at, released_at FROM leases WHERE name = ?",
        (name,),
    ).fetchone()
    generation = 1
    if row is not None:
        generation = row[0] + 1
        other = Holder(row[2], msgspec.json.decode(row[1], type=Owner), row[3], row[4])
        is_free = row[5] is not None or other.expires_at < timestamp(now) or is_dead(other.owner)
        if not is_free:
            return other
    raw.execute(
        "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (
            name,
            generation,
            msgspec.json.encode(owner).decode(),
            holder,
            timestamp(now),
            timestamp(now + timedelta(seconds=ttl_seconds)),
        ),
    )
    return Lease(name, generation, ttl_seconds)


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


def is_ours(raw: sqlite3.Connection, lease: Lease) -> bool:
    """Whether nobody else has taken the lease since."""
    return (
        raw.execute(
            "SELECT 1 FROM leases WHERE name = ? AND generation = ? AND released_at IS NULL",
            (lease.name, lease.generation),
        ).fetchone()
        is not None
    )
