"""The driver modules of database servers, and what each does in its own way. Imports none of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from aetherflow_db.interruption import CANCEL_SECONDS
from aetherflow_db.streaming_cursors import NamedCursor, StreamedCursor, oracle_cursor, unbuffered_cursor

CONNECT_SECONDS = 30.0
"""How long connecting may take, unless the resource says it."""


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
        cursor=partial(unbuffered_cursor, "pymysql"),
        forget=_forget_answer,
    ),
    "MySQLdb": ServerDriver(timeouts=("connect_timeout",), cursor=partial(unbuffered_cursor, "MySQLdb")),
    "mariadb": ServerDriver(timeouts=("connect_timeout",)),
    "pymssql": ServerDriver(timeouts=("login_timeout",)),
    "pyodbc": ServerDriver(timeouts=("timeout",)),
    "oracledb": ServerDriver(
        timeouts=("tcp_connect_timeout",),
        whole_seconds=False,
        cursor=oracle_cursor,
        cancel=lambda raw: raw.cancel(),
    ),
}
"""By the name of the module; others are used as DB-API describes them."""
