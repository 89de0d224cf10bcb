"""Compute the status of servers: whether one decides, why not, and how its clock differs from the others."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

import msgspec

from aetherflow.store import lease as leases
from aetherflow.store.served_files import drain_of
from aetherflow.store.servers import ServerRow, stored_server

ServerState = Literal["active", "standby", "stopping", "silent", "dead"]
"""A server decides; or its clock is off; or it was asked to stop, and its runs end; or it has not renewed its
lease in time; or its process is dead."""


class ServerStatus(msgspec.Struct, frozen=True):
    """A server that serves a file.

    Attributes:
        since: when it started, RFC 3339 in UTC, by its own clock.
        standby: why it decides nothing; empty if it does.
        host, version: empty if it has not stored them.
        clock_ahead_seconds: by how much its clock is ahead of those of the other servers on the database,
            give or take a second; None if there is no other, or they are not compared yet.
        drains_until: until when its runs may take, as it stops (RFC 3339 in UTC); None if it does not stop.
    """

    server: str
    owner: str
    since: str
    validity: leases.LeaseValidity
    state: ServerState = "active"
    standby: str = ""
    host: str = ""
    version: str = ""
    clock_ahead_seconds: float | None = None
    drains_until: str | None = None


def server_status(raw: sqlite3.Connection, server: str, now: datetime) -> ServerStatus | None:
    """Return the status of a server; None if it has given back its lease."""
    lease = leases.held(raw, server, now)
    if lease is None:
        return None
    row, drains_until = stored_server(raw, server), drain_of(raw, server)
    holder = lease.holder
    return ServerStatus(
        server=server.removeprefix("server:"),
        owner=str(holder.owner),
        since=holder.acquired_at,
        validity=lease.validity,
        state=_state(lease.validity, row, drains_until),
        standby=row.standby if row is not None and lease.validity == "live" else "",
        host=row.host if row else holder.owner.host.partition(" ")[0],
        version=row.version if row else "",
        clock_ahead_seconds=row.ahead_seconds if row else None,
        drains_until=drains_until,
    )


def _state(validity: leases.LeaseValidity, row: ServerRow | None, drains_until: str | None) -> ServerState:
    match validity:
        case "dead":
            return "dead"
        case "expired":
            return "silent"
        case "live" if drains_until is not None:
            return "stopping"
        case "live":
            return "standby" if row is not None and row.standby else "active"
