"""Read and write which servers serve which scheduler files, and whether a server lives.

The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aetherflow.store import lease as leases
from aetherflow.store.projection import timestamp


def is_alive(raw: sqlite3.Connection, server: str, now: datetime) -> bool:
    """Whether the lease of a server is valid and its process lives."""
    lease = leases.held(raw, server, now)
    return lease is not None and lease.validity == "live"


def is_served_by_others(raw: sqlite3.Connection, scheduler: str, server: str, now: datetime) -> bool:
    """Whether another live server serves a scheduler file."""
    rows = raw.execute(
        "SELECT server FROM schedulers WHERE scheduler = ? AND server <> ?", (scheduler, server)
    )
    return any(is_alive(raw, name, now) for (name,) in rows.fetchall())


def record_served_file(
    raw: sqlite3.Connection, scheduler: str, server: str, file: str, now: datetime, problem: str
) -> None:
    """Store that a server serves a scheduler file, and the error of the file on the disk, if any."""
    raw.execute(
        "INSERT OR REPLACE INTO schedulers (scheduler, server, file, loaded_at, problem)"
        " VALUES (?, ?, ?, ?, ?)",
        (scheduler, server, file, timestamp(now), problem),
    )


def forget_server(raw: sqlite3.Connection, server: str) -> None:
    """Delete a server's lease and its served files, so that other servers may take its open firings."""
    raw.execute("DELETE FROM schedulers WHERE server = ?", (server,))
    raw.execute("DELETE FROM servers WHERE server = ?", (server,))
    raw.execute("DELETE FROM leases WHERE name = ?", (server,))
