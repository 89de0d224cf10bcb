"""The driver modules of database servers: how each streams rows, and cancels a query at the server."""

from __future__ import annotations

import importlib
import math
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, islice
from typing import Any

import msgspec

from aetherflow_db.driver import Cause

CANCEL_SECONDS = 3.0
"""How long a request to cancel may take; the step waits for its thread, and a network may be gone."""

CONNECT_SECONDS = 30.0
"""How long connecting may take, unless the resource says it."""

LOST_SECONDS = 120
"""A connection is lost if what was sent is not confirmed for so long."""

CUT_SECONDS = 4.0
"""A statement that still runs so long after the first request to cancel it loses its connection."""


class ServerDriver(msgspec.Struct, frozen=True):
    """A driver module of a server.

    Attributes:
        timeouts: the arguments of its connect function that limit the seconds until the login is done.
        whole_seconds: whether these are whole seconds.
        default_timeout: the limit where the module itself has none, in seconds.
        connected: undoes what of these would limit later statements too.
        password_as_bytes: whether a password must be given as UTF-8; the module has another encoding.
        cursor: as of `Driver`.
        forget: forgets an answer that was not read to its end, before the connection is closed.
        cancel: cancels what runs on a connection, if the module has a function for that.
    """

    timeouts: tuple[str, ...] = ()
    whole_seconds: bool = True
    default_timeout: float | None = None
    connected: Callable[[Any], object] = lambda _connection: None
    password_as_bytes: bool = False
    cursor: Callable[[Any, int], Any] | None = None
    forget: Callable[[Any], object] = lambda _connection: None
    cancel: Callable[[Any], object] | None = None

    def timeout_argument(self, seconds: float) -> dict[str, Any]:
        """Return the argument for a time limit of connecting."""
        limit = math.ceil(seconds) if self.whole_seconds else seconds
        return dict.fromkeys(self.timeouts, limit)


_CAUSES: Mapping[str, Mapping[int | str, Cause]] = {
    "postgresql": {
        "25006": "wrote",
        "40001": "collided",
        "40P01": "collided",
        "55P03": "waited",
        "25P03": "lost",
        "57P01": "lost",
        "57P02": "lost",
        "57P03": "lost",
    },
    "mysql": {1792: "wrote", 1290: "wrote", 1213: "collided", 1205: "waited", 1969: "waited", 3024: "waited"},
    "mssql": {3906: "wrote", 1205: "collided", 1222: "waited"},
    "oracle": {1456: "wrote", 60: "collided", 8177: "collided", 54: "waited", 30006: "waited"},
}
"""What SQLSTATEs and error numbers of the databases mean."""


def cause_of(dialect: str, error: Exception) -> Cause:
    """Return what the number in a driver's error says."""
    causes = _CAUSES.get("mysql" if dialect == "mariadb" else dialect, {})
    first = error.args[0] if error.args else None
    said = [getattr(error, name, None) for name in ("sqlstate", "pgcode")] + [getattr(first, "code", first)]
    known = (causes.get(number) for number in said if isinstance(number, int | str))
    return next(filter(None, known), "other")


class Interrupter:
    """Ends what runs on a connection: by a request to the server, then by cutting the connection.

    Called again and again by the step that waits for the end of its thread.
    """

    def __init__(self, raw: Any, cancel: Callable[[], object]) -> None:
        self._raw = raw
        self._cancel = cancel
        self._since: float | None = None

    @property
    def is_called(self) -> bool:
        """Whether somebody wants the connection to end what it does."""
        return self._since is not None

    def __call__(self) -> None:
        """Request the end; an error says why the server does not take the request."""
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > CUT_SECONDS:
            cut(self._raw)
        else:
            self._cancel()


def cut(raw: Any) -> None:
    """Cut the network connection of a driver's connection, if its socket can be found."""
    with _socket_of(raw) as found, suppress(OSError):
        if found is not None:
            found.shutdown(socket.SHUT_RDWR)


def notice_lost_network(raw: Any) -> None:
    """Let the system end a connection whose other side does not confirm for minutes that it got our bytes."""
    with _socket_of(raw) as found, suppress(OSError, AttributeError):  # not every system has all of these
        if found is not None and found.family != socket.AF_UNIX:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_SECONDS * 1000)


@contextmanager
def _socket_of(raw: Any) -> Iterator[socket.socket | None]:
    """Return another handle of a connection's socket for a block; None where the driver hides it."""
    owner = getattr(raw, "_sock", raw)  # PyMySQL has it there
    try:
        copy = socket.socket(fileno=os.dup(owner.fileno()))
    except (AttributeError, OSError, TypeError, ValueError):
        yield None
        return
    with copy:
        yield copy


class StreamedCursor:
    """A cursor of psycopg 3 whose rows come in pieces while the query runs; for any statement with rows."""

    def __init__(self, connection: Any, size: int) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._size = size
        self._rows: Iterator[Any] = iter(())
        self.rowcount = -1

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns; None: the statement returns no rows."""
        found: Sequence[Any] | None = self._cursor.description
        return found

    def execute(self, sql: str, params: Any = None) -> None:
        """Send the statement and wait for its first rows."""
        self._stream = self._cursor.stream(sql, params, size=self._size)
        try:
            first = next(self._stream, None)
        except self._connection.ProgrammingError as error:
            if error.sqlstate is not None:
                raise
            self.rowcount = self._cursor.rowcount  # the server answered without rows
            return
        if first is not None:
            self._rows = chain((first,), self._stream)
        elif self._cursor.description is None:
            # An answer without rows hides its columns; a cursor at the server shows them without running it.
            self._cursor = self._connection.cursor("aetherflow_columns")
            self._cursor.execute(sql, params)

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows."""
        return list(islice(self._rows, size))

    def close(self) -> None:
        """Cancel what still runs, and close."""
        self._stream.close()
        self._cursor.close()


class NamedCursor:
    """A cursor of psycopg2 at the server, which knows its columns after the first rows only."""

    def __init__(self, connection: Any, size: int) -> None:
        self._cursor = connection.cursor("aetherflow")
        self._size = size
        self._first: list[Any] = []
        self.rowcount = -1

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns."""
        found: Sequence[Any] | None = self._cursor.description
        return found

    def execute(self, sql: str, params: Any = None) -> None:
        """Run the query and fetch its first rows."""
        self._cursor.execute(sql, params)
        self._first = self._cursor.fetchmany(self._size)

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows."""
        first, self._first = self._first, []
        return first or self._cursor.fetchmany(size)

    def close(self) -> None:
        """Close it at the server."""
        self._cursor.close()


def plain_cursor(connection: Any, size: int) -> Any:
    """Return a cursor that fetches so many rows at once from the server."""
    cursor = connection.cursor()
    with suppress(AttributeError):
        cursor.arraysize = size
    return cursor


def _oracle_cursor(connection: Any, size: int) -> Any:
    cursor = connection.cursor()
    cursor.arraysize = cursor.prefetchrows = size
    return cursor


def _unbuffered(module: str, connection: Any, _size: int) -> Any:
    return connection.cursor(importlib.import_module(f"{module}.cursors").SSCursor)


def _read_without_limit(connection: Any) -> None:
    connection._read_timeout = None  # noqa: SLF001 - PyMySQL has no other way to limit the login alone


def _forget_answer(connection: Any) -> None:
    answer = getattr(connection, "_result", None)
    if answer is not None:
        answer.unbuffered_active = False  # else its destructor reads from the closed connection


_POSTGRES = ServerDriver(timeouts=("connect_timeout",), default_timeout=CONNECT_SECONDS, cursor=NamedCursor)

SERVER_DRIVERS: Mapping[str, ServerDriver] = {
    "psycopg": msgspec.structs.replace(
        _POSTGRES,
        cursor=StreamedCursor,
        cancel=lambda raw: raw.cancel_safe(timeout=CANCEL_SECONDS),
    ),
    "psycopg2": msgspec.structs.replace(_POSTGRES, cancel=lambda raw: raw.cancel()),
    "pymysql": ServerDriver(
        timeouts=("connect_timeout", "read_timeout"),  # its connect_timeout does not limit the login
        default_timeout=CONNECT_SECONDS,
        connected=_read_without_limit,
        password_as_bytes=True,
        cursor=partial(_unbuffered, "pymysql"),
        forget=_forget_answer,
    ),
    "MySQLdb": ServerDriver(timeouts=("connect_timeout",), cursor=partial(_unbuffered, "MySQLdb")),
    "mariadb": ServerDriver(timeouts=("connect_timeout",)),
    "pymssql": ServerDriver(timeouts=("login_timeout",)),
    "pyodbc": ServerDriver(timeouts=("timeout",)),
    "oracledb": ServerDriver(
        timeouts=("tcp_connect_timeout",),
        whole_seconds=False,
        cursor=_oracle_cursor,
        cancel=lambda raw: raw.cancel(),
    ),
}
"""By the name of the module; others are used as DB-API describes them."""


class ServerSql(msgspec.Struct, frozen=True):
    """What statements a database has for the settings of a connection; empty: it has none.

    Attributes:
        schema: makes a schema the one of names without a schema; `{}` is its quoted name.
        never_writes: lets no transaction of the connection write.
        read_only: lets the transaction that begins not write.
        id_query: returns what the server calls the connection.
        kill: ends what another connection runs; `{}` is its id.
    """

    schema: str = ""
    never_writes: str = ""
    read_only: str = ""
    id_query: str = ""
    kill: str = ""


_MYSQL = ServerSql(
    schema="USE {}",
    never_writes="SET SESSION TRANSACTION READ ONLY",
    read_only="START TRANSACTION READ ONLY",
    id_query="SELECT CONNECTION_ID()",
    kill="KILL QUERY {}",
)
SERVER_SQL: Mapping[str, ServerSql] = {
    "postgresql": ServerSql(
        schema="SET search_path TO {}",
        never_writes="SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        read_only="SET TRANSACTION READ ONLY",
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "mssql": ServerSql(id_query="SELECT @@SPID", kill="KILL {}"),
    "oracle": ServerSql(
        schema="ALTER SESSION SET CURRENT_SCHEMA = {}", read_only="SET TRANSACTION READ ONLY"
    ),
    "sqlite": ServerSql(never_writes="PRAGMA query_only = ON"),
    "duckdb": ServerSql(schema="SET schema = {}"),
}
"""By the name that SQLAlchemy gives a database."""
