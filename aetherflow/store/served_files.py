"""Read and write which servers serve which scheduler files, and whether a server lives.

The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
import zlib
from datetime import datetime

import msgspec

from aetherflow.store import lease as leases
from aetherflow.store.projection import timestamp


class ServedFile(msgspec.Struct, frozen=True):
    """A scheduler file that a server serves.

    Attributes:
        file: its absolute path.
        source: the text in force.
        problem: the error of the file on the disk; empty if what it says is in force.
    """

    file: str
    source: bytes
    problem: str = ""


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
    raw: sqlite3.Connection, scheduler: str, server: str, served: ServedFile, now: datetime
) -> None:
    """Store that a server serves a scheduler file, and the error of the file on the disk, if any."""
    raw.execute(
        "INSERT OR REPLACE INTO schedulers (scheduler, server, file, loaded_at, problem, source)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (scheduler, server, served.file, timestamp(now), served.problem, zlib.compress(served.source)),
    )


def source_in_force(raw: sqlite3.Connection, scheduler: str, server: str) -> bytes:
    """Return the text of the version that a server has in force; empty if it is not known."""
    row = raw.execute(
        "SELECT source FROM schedulers WHERE scheduler = ? AND server = ?", (scheduler, server)
    ).fetchone()
    return zlib.decompress(row[0]) if row is not None and row[0] else b""


def forget_server(raw: sqlite3.Connection, server: str) -> None:
    """Delete a server's lease and its served files, so that other servers may take its open firings."""
    raw.execute("DELETE FROM schedulers WHERE server = ?", (server,))
    raw.execute("DELETE FROM servers WHERE server = ?", (server,))
    raw.execute("DELETE FROM leases WHERE name = ?", (server,))
