"""What a step writes through: a session in one transaction, which the step commits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from aetherflow import StepContext, StepError, StopSwitch
from aetherflow_db.connection import FETCH_SIZE, SqlConnector
from aetherflow_db.driver import SessionMode
from aetherflow_db.query import Query, Row
from aetherflow_db.session import Answer, Session
from aetherflow_db.sql_dialects import dialect_of

T = TypeVar("T")

_READS = frozenset(
    {
        *("SELECT", "VALUES", "TABLE", "SHOW", "EXPLAIN", "DESCRIBE", "DESC", "PRAGMA", "FROM"),
        *("CALL", "EXEC", "EXECUTE"),
    }
)
_CHANGES = re.compile(r"\b(insert|update|delete|merge)\b", re.IGNORECASE)


class Transaction:
    """A session that writes; all its methods block, so they are called in a worker thread.

    Attributes:
        resource: the name of the resource, for messages.
        dialect: what is special about the database.
        raw: the driver's own connection.
        paramstyle: how the driver spells parameters (DB-API).
        refusals: what the driver raises, also for a value that it cannot send.
    """

    def __init__(self, session: Session, resource: str) -> None:
        self.resource = resource
        self.dialect = dialect_of(session.dialect)
        self.raw = session.raw
        self.paramstyle = session.driver.paramstyle or "qmark"
        unsendable = (OverflowError, TypeError, ValueError)
        self.refusals: tuple[type[Exception], ...] = (*session.driver.errors, *unsendable)
        self._session = session

    def execute(self, query: Query) -> int:
        """Run one statement, and return how many rows it inserted, updated or deleted; 0 where unknown.

        Raises:
            StepError: the database refuses it; the error has the place that the database gives.
        """

        def rows_changed(answer: Answer) -> int:
            for _ in answer.batches:
                pass  # a statement with RETURNING has changed all its rows only at its end
            returns_rows = answer.description is not None
            return changed_rows(query, self._session.last_count(), returns_rows=returns_rows)

        return self._run(query, rows_changed)

    def fetch(self, query: Query) -> list[Row]:
        """Run a query that returns few rows, and return them.

        Raises:
            StepError: the database refuses it.
        """
        return self._run(query, lambda answer: [tuple(row) for batch in answer.batches for row in batch])

    def column_names(self, query: Query) -> list[str]:
        """Return the columns of a query.

        Raises:
            StepError: the database refuses it.
        """
        return self._run(query, lambda answer: answer.columns)

    def commit(self) -> None:
        """Make durable what was done.

        Raises:
            StepError: the database refuses it, or its answer is lost.
        """
        try:
            self._session.close_cursors()
            self._session.commit()
        except self.refusals as error:
            raise self.failure(error, Query("COMMIT")) from error

    def failure(self, error: Exception, query: Query) -> StepError:
        """Return an error of the driver as a step reports it."""
        return self._session.failure(error, query)

    def _run(self, query: Query, take: Callable[[Answer], T]) -> T:
        try:
            taken = take(self._session.run(query, FETCH_SIZE))
            self._session.close_cursors()
        except self.refusals as error:
            raise self.failure(error, query) from error
        return taken


async def write(
    ctx: StepContext,
    connector: SqlConnector,
    work: Callable[[Transaction], T],
    *,
    mode: SessionMode = "write",
) -> T:
    """Call `work` with a transaction in a worker thread, which commits it; return what `work` returns.

    When the step is cancelled the statement is interrupted, and what is not committed is rolled back.

    Raises:
        StepError: the database cannot be reached, or what `work` raises.
    """
    switch = StopSwitch()

    def call() -> T:
        ctx.raise_if_stopping()
        with connector.session(switch, mode) as session:
            return work(Transaction(session, connector.name))

    return await ctx.run_interruptible(call, switch, limiter=connector.slots)


def changed_rows(query: Query, count: int, *, returns_rows: bool) -> int:
    """Return how many rows a statement changed, from the number that its driver gives.

    Some drivers count the rows that a query returns, and say -1 where they do not know.
    """
    word = query.first_word
    if returns_rows and (word in _READS or (word == "WITH" and not _CHANGES.search(query.sql))):
        return 0
    return max(count, 0)
