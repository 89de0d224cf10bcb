"""One connection of a database, lent to one worker thread: run statements, or use the driver's connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from aetherflow import StepError
from aetherflow_db.bound_statement import UnboundParameterError, bound
from aetherflow_db.driver import Driver, SessionMode
from aetherflow_db.failures import (
    collided,
    connection_lost,
    first_line,
    statement_failed,
    unbound,
    waited,
    write_refused,
    writes,
)
from aetherflow_db.query import Query, Row

_QUERIES = frozenset({"SELECT", "VALUES", "TABLE", "FROM"})
_CHANGES = frozenset(
    {
        *("INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT", "TRUNCATE"),
        *("COPY", "EXPORT"),  # of DuckDB: they write files
        *("CREATE", "DROP", "ALTER", "RENAME", "GRANT", "REVOKE"),  # some databases commit them at once
    }
)


class Answer(msgspec.Struct, frozen=True):
    """What a statement returned.

    Attributes:
        description: of each column what the driver says: name, type code, and so on (DB-API); None: the
            statement returns no rows.
        batches: its rows, which are fetched while one iterates.
        row_count: how many rows it changed; -1: the driver does not know.
    """

    description: Sequence[Sequence[Any]] | None
    batches: Iterator[Sequence[Row]]
    row_count: int

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [str(column[0]) for column in self.description or ()]


class Session:
    """A connection for the time of a `with` block; used in one thread, apart from its interruption.

    Attributes:
        raw: the driver's own connection, for what only this driver can do: COPY, Arrow, bulk inserts. What it
            raises is reported as if `run` had raised it.
        driver: what is peculiar to the driver.
        dialect: what SQLAlchemy calls the database: postgresql, mysql, sqlite, ...
        last: the statement that ran last, for messages; set it before `raw` is used.
    """

    def __init__(
        self, resource: str, place: str, dialect: str, driver: Driver, raw: Any, mode: SessionMode
    ) -> None:
        """Take the names for messages, the driver module, its connection and what the session is for."""
        self.raw = raw
        self.driver = driver
        self.dialect = dialect
        self.last = Query("")
        self._resource = resource
        self._place = place
        self._mode = mode
        self._is_guarded = False
        self._open: list[Any] = []

    def run(self, query: Query, fetch_size: int) -> Answer:
        """Run a statement with its parameters; rows are fetched in batches of `fetch_size`.

        The answer to the statement before it ends.

        Raises:
            StepError: a parameter has no value, or cannot be sent; or the session only reads, and the
                statement does not. Other errors are the driver's, which the session's block translates.
        """
        self.prepare(query)
        statement = self.arguments(query)
        self.close_cursors()
        # Only in a reading session, since rows that come in pieces cost the number of rows changed.
        reads = self._mode == "read"
        cursor = self.driver.cursor(self.raw, fetch_size) if reads else self.driver.writing_cursor(self.raw)
        refusals: tuple[type[Exception], ...] = (*self.driver.errors, OverflowError, TypeError, ValueError)
        try:
            cursor.execute(*statement)
        except refusals as error:
            if self.driver.locks_while_open:  # a statement that failed is one that was not read to its end
                cursor.close()
            if isinstance(error, self.driver.errors):
                raise
            # a parameter that the driver cannot send
            raise statement_failed(self._resource, query, error) from error
        self._open.append(cursor)
        if cursor.description is None:
            return Answer(None, iter(()), cursor.rowcount)
        return Answer(cursor.description, _batches(cursor, fetch_size), cursor.rowcount)

    def prepare(self, query: Query) -> None:
        """Note the statement that runs next, on `raw`, and check that it may run in this session.

        Raises:
            StepError: the session only reads, and the statement does not.
        """
        self.last = query
        if self._mode == "read":
            self._guard(query)

    def execute(self, sql: str) -> None:
        """Run a statement of AetherFlow itself."""
        cursor = self.driver.writing_cursor(self.raw)
        cursor.execute(sql)
        cursor.close()

    def commit(self) -> None:
        """Make durable what was done; nothing may follow in this session."""
        self.last = Query("COMMIT")
        self.raw.commit()

    def last_count(self) -> int:
        """Return how many rows the last statement changed, when its answer was read; -1: not known."""
        return int(self._open[-1].rowcount) if self._open else -1

    def close_cursors(self) -> None:
        """End what statements left open; some drivers read the rest of an answer for that."""
        while self._open:
            self._open.pop().close()

    def failure(self, error: Exception, query: Query | None = None) -> StepError:
        """Return a driver's error as a step reports it: the connection is lost, or the statement failed."""
        query = query or self.last
        match self.driver.cause(error, self.raw):
            case "lost":
                return connection_lost(self._resource, self._place, error)
            case "wrote":
                refused = writes if self._mode == "read" else write_refused
                return refused(self._resource, query, first_line(error))
            case "collided":
                return collided(self._resource, query, error)
            case "waited":
                return waited(self._resource, query, error)
            case "other":
                return statement_failed(self._resource, query, error, only_reads=self._mode == "read")

    def _guard(self, query: Query) -> None:
        """Refuse to write where nobody would commit it: the rows of `INSERT ... RETURNING` would be lies.

        A SELECT may call functions that need a transaction that can write, such as nextval.
        """
        word = query.first_word
        if word in _CHANGES:
            raise writes(self._resource, query, f"it begins with {word}")
        if self.driver.read_only and word not in _QUERIES and not self._is_guarded:
            self.execute(self.driver.read_only)
            self._is_guarded = True

    def arguments(self, query: Query) -> tuple[Any, ...]:
        """Return the arguments of `cursor.execute` for a query.

        Raises:
            StepError: a parameter has no value.
        """
        style, params = self.driver.paramstyle, query.params
        if not params:
            return (query.sql,) if style is None else (query.sql.replace("\\:", ":"),)
        if style is None:
            return query.sql, params
        if isinstance(params, list):
            if self.driver.takes_lists:
                return query.sql, params
            raise StepError(
                f"resource {self._resource!r} takes named parameters, not a list",
                hint="write :name in the statement and params: {name: value}",
                code="AF740",
            )
        try:
            return bound(query.sql, params, style, is_mysql=self.driver.is_mysql)
        except UnboundParameterError as error:
            raise unbound(self._resource, query, error.args[0]) from None


def _batches(cursor: Any, size: int) -> Iterator[Sequence[Row]]:
    while batch := cursor.fetchmany(size):
        yield batch
