"""The cursors of drivers that fetch a large answer in pieces, each in the way of its module."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any

from aetherflow_db.postgres_dates import register_far_dates


class StreamedCursor:
    """A cursor of psycopg 3 whose rows come in pieces while the query runs; for any statement with rows."""

    def __init__(self, connection: Any, size: int) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        register_far_dates(self._cursor)
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
        from psycopg import capabilities  # noqa: PLC0415 - an optional dependency

        size = self._size if capabilities.has_stream_chunked() else 1  # an old libpq sends single rows
        self._stream = self._cursor.stream(sql, params, size=size)
        try:
            first = next(self._stream, None)
        except self._connection.ProgrammingError as error:
            if error.sqlstate is not None or self._cursor.statusmessage is None:
                raise  # the server refused it, or it was not sent
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


def oracle_cursor(connection: Any, size: int) -> Any:
    """Return a cursor of oracledb, which has two sizes for what a round trip fetches."""
    cursor = connection.cursor()
    cursor.arraysize = cursor.prefetchrows = size
    return cursor


def unbuffered_cursor(module: str, connection: Any, _size: int) -> Any:
    """Return a cursor of PyMySQL or mysqlclient that reads rows while they arrive."""
    return connection.cursor(importlib.import_module(f"{module}.cursors").SSCursor)
