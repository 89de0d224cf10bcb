"""Read and write the clocks of servers: what each one's clock showed at its last heartbeat.

The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from aetherflow.store import lease as leases


class ServerRow(msgspec.Struct, frozen=True):
    """A server at its last heartbeat; times are RFC 3339 in UTC, by its own clock.

    Attributes:
        server: the name of its lease.
        beats: how many heartbeats it has had: how long it lives, whatever clocks show.
        standby: why it decides nothing; empty if it does.
        ahead_seconds: by how much its clock is ahead of those of other servers, give or take a second;
            None if there are none, or they are not compared yet.
    """

    server: str
    host: str
    version: str
    started_at: str
    clock_at: str
    beats: int
    standby: str = ""
    ahead_seconds: float | None = None


def store_server(raw: sqlite3.Connection, row: ServerRow) -> None:
    """Store a heartbeat."""
    raw.execute(
        "INSERT OR REPLACE INTO servers "
        "(server, host, version, started_at, clock_at, beats, standby, ahead_seconds) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        msgspec.structs.astuple(row),
    )


def server_rows(raw: sqlite3.Connection) -> dict[str, ServerRow]:
    """Return the servers whose process is not known to be dead; whether they still beat is to be seen."""
    return {name: row for name, row in _all_rows(raw).items() if not _is_dead(raw, name, row)}


def stored_server(raw: sqlite3.Connection, server: str) -> ServerRow | None:
    """Return what a server stored at its last heartbeat."""
    return _all_rows(raw).get(server)


def _all_rows(raw: sqlite3.Connection) -> dict[str, ServerRow]:
    rows = raw.execute(
        "SELECT server, host, version, started_at, clock_at, beats, standby, ahead_seconds FROM servers"
    )
    return {row[0]: ServerRow(*row) for row in rows.fetchall()}


def _is_dead(raw: sqlite3.Connection, name: str, row: ServerRow) -> bool:
    lease = leases.held(raw, name, datetime.fromisoformat(row.clock_at))
    return lease is not None and lease.validity == "dead"


def forget_silent(raw: sqlite3.Connection, servers: set[str]) -> None:
    """Delete the clocks of servers that beat no more; one that lives stores its own again."""
    raw.executemany("DELETE FROM servers WHERE server = ?", [(name,) for name in sorted(servers)])
