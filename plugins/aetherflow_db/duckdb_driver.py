"""What is peculiar to DuckDB's module: its connections are their own cursors, and begin no transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aetherflow_db.driver import Cause, Driver, SessionMode

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class DuckDbCursor:
    """A DuckDB connection as a cursor; a statement that only says how many rows it changed has no rows."""

    def __init__(self, connection: DuckDBPyConnection, _size: int = 0) -> None:
        self._connection = connection
        self._has_rows = False
        self.rowcount = -1

    @property
    def description(self) -> Sequence[Any] | None:
        """The columns; None: the statement returns no rows."""
        return self._connection.description if self._has_rows else None

    def execute(self, sql: str, params: Any = None) -> None:
        """Run a statement."""
        changes = _changes_rows(self._connection, sql)
        has_rows = may_return_rows(self._connection, sql)
        self._connection.execute(sql, params)
        columns = [one[0] for one in self._connection.description or []]
        only_counts = changes and columns == ["Count"]
        self._has_rows = has_rows and not only_counts
        if only_counts and (row := self._connection.fetchone()):
            self.rowcount = row[0]

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows."""
        return self._connection.fetchmany(size)

    def close(self) -> None:
        """Nothing: the connection is the session's."""


def may_return_rows(connection: DuckDBPyConnection, sql: str) -> bool:
    """Return whether a statement may return rows; nothing runs.

    Raises:
        Exception: DuckDB's, of a statement that it cannot read.
    """
    from duckdb import ExpectedResultType  # noqa: PLC0415 - an optional dependency

    statements = connection.extract_statements(sql)
    return bool(statements) and ExpectedResultType.QUERY_RESULT in statements[-1].expected_result_type


def _changes_rows(connection: DuckDBPyConnection, sql: str) -> bool:
    from duckdb import ExpectedResultType  # noqa: PLC0415 - an optional dependency

    statements = connection.extract_statements(sql)
    return bool(statements) and ExpectedResultType.CHANGED_ROWS in statements[-1].expected_result_type


def duckdb_driver() -> Driver:
    """Return the driver; duckdb must be installed."""
    import duckdb  # noqa: PLC0415 - an optional dependency, and slow to import

    def cause(error: Exception, _connection: Any) -> Cause:
        if isinstance(error, duckdb.IOException):
            return "lost"
        if isinstance(error, duckdb.InvalidInputException) and "read-only mode" in str(error):
            return "wrote"
        return "collided" if isinstance(error, duckdb.TransactionException) else "other"

    def begin(connection: Any, mode: SessionMode) -> None:
        if mode != "autocommit":
            connection.execute("BEGIN")

    def end(connection: Any, _mode: SessionMode) -> None:
        with suppress(duckdb.TransactionException):  # a commit has ended it
            connection.execute("ROLLBACK")

    return Driver(
        module="duckdb",
        errors=(duckdb.Error,),
        cause=cause,
        paramstyle="dollar",
        takes_lists=True,
        cursor=DuckDbCursor,
        writing_cursor=DuckDbCursor,
        begin=begin,
        end=end,
    )
