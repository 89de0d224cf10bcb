"""What a session must know of a driver module; no driver is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from aetherflow_db.bound_statement import ParamStyle

SessionMode = Literal["read", "write", "autocommit"]
"""read: nothing stays of what a statement changes, and it is refused where the database can do that;
write: one transaction, which `Session.commit` ends; autocommit: each statement is a transaction."""

Cause = Literal["lost", "wrote", "collided", "waited", "other"]
"""Why a statement failed: the connection is lost; it writes where nothing may be written; the database ended
its transaction in favour of another one; it waited too long; anything else."""


def nothing(_connection: Any, _mode: SessionMode) -> None:
    """Begin or end a session on a driver that begins transactions by itself."""


class Driver(msgspec.Struct, frozen=True):
    """A driver module: DB-API, with what each module does in its own way.

    Attributes:
        module: its name.
        errors: what it raises.
        cause: why an error was raised on a connection.
        paramstyle: how it spells parameters; None: it takes `:name` and `?` itself.
        cursor: returns a cursor of a connection that holds only about so many rows of an answer at once.
        writing_cursor: returns a cursor for statements that change rows.
        takes_lists: whether parameters may also be a list for `?`.
        begin: prepares a connection for a session.
        end: leaves a connection as `begin` found it; not called after a failure.
        read_only: a statement after which the transaction cannot write; empty: there is none.
        locks_while_open: whether an answer that was not read to its end keeps a lock, though its connection
            is closed.
        is_mysql: whether statements are in MySQL's syntax.
        file: the SQLite file that another process may read in place of a connection, since no option changes
            what a query means; None: there is none.
    """

    module: str
    errors: tuple[type[Exception], ...]
    cause: Callable[[Exception, Any], Cause]
    paramstyle: ParamStyle | None = None
    cursor: Callable[[Any, int], Any] = lambda connection, _size: connection.cursor()
    writing_cursor: Callable[[Any], Any] = lambda connection: connection.cursor()
    takes_lists: bool = False
    begin: Callable[[Any, SessionMode], None] = nothing
    end: Callable[[Any, SessionMode], None] = nothing
    read_only: str = ""
    locks_while_open: bool = False
    is_mysql: bool = False
    file: str | None = None
