"""Read and write which servers serve which scheduler files, and whether a server lives.

The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Mapping
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
        item_problems: the items that cannot run, each with what is wrong.
    """

    file: str
    source: bytes
    problem: str = ""
    item_problems: dict[str, str] = {}


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
        "INSERT INTO schedulers (scheduler, server, file, loaded_at, problem, source, item_problems) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (scheduler, server) DO UPDATE SET file = excluded.file, "
        "loaded_at = excluded.loaded_at, problem = excluded.problem, source = excluded.source, "
        "item_problems = excluded.item_problems",
        (
            *(scheduler, server, served.file, timestamp(now), served.problem, zlib.compress(served.source)),
            json.dumps(served.item_problems),
        ),
    )


def record_item_problems(
    raw: sqlite3.Connection, scheduler: str, server: str, problems: Mapping[str, str]
) -> None:
    """Store the items of a scheduler file that cannot run, each with what is wrong."""
    raw.execute(
        "UPDATE schedulers SET item_problems = ? WHERE scheduler = ? AND server = ?",
        (json.dumps(problems), scheduler, server),
    )


def record_drain(raw: sqlite3.Connection, server: str, until: datetime) -> None:
    """Store that a server stops, and until when its runs may take."""
    raw.execute("UPDATE schedulers SET drains_until = ? WHERE server = ?", (timestamp(until), server))


def drain_of(raw: sqlite3.Connection, server: str) -> str | None:
    """Return until when the runs of a server may take that stops; None if it does not stop."""
    found = raw.execute("SELECT max(drains_until) FROM schedulers WHERE server = ?", (server,)).fetchone()
    until: str | None = found[0]
    return until


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
