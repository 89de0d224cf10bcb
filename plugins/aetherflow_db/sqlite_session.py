"""Begin and end a session on a connection of Python's sqlite3, whose own transactions come too late."""

from __future__ import annotations

import sqlite3

from aetherflow_db.driver import SessionMode


def begin_sqlite(connection: sqlite3.Connection, mode: SessionMode) -> None:
    """Refuse to write, or begin a transaction with the file's write lock, or let each statement be one.

    The module would begin a transaction only at the first change, and commit it before a CREATE.
    """
    connection.isolation_level = None
    if mode == "read":
        connection.execute("PRAGMA query_only = ON")
    elif mode == "write":
        connection.execute("BEGIN IMMEDIATE")


def end_sqlite(connection: sqlite3.Connection, mode: SessionMode) -> None:
    """Roll back what was not committed, and leave the connection as the module opens it."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    if mode == "read":
        connection.execute("PRAGMA query_only = OFF")
    connection.isolation_level = "DEFERRED"
