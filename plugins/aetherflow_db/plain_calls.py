"""What plugins of AetherFlow 0.0.x call on a database connector; it blocks in the thread of their step."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import chain, islice
from typing import Any

from aetherflow import StopSwitch
from aetherflow_db.driver import SessionMode
from aetherflow_db.failures import no_rows
from aetherflow_db.query import Query, Row
from aetherflow_db.session import Answer, Session

BATCH = 1000
"""How many rows are fetched at once."""

Params = dict[str, Any] | list[Any] | None


class PlainCalls(abc.ABC):
    """Statements without a step context; nothing interrupts them.

    Attributes:
        name: the name of the resource.
    """

    name: str

    @abc.abstractmethod
    def session(self, switch: StopSwitch, mode: SessionMode = "read") -> AbstractContextManager[Session]:
        """Lend a connection; see `SqlConnector`."""

    @abc.abstractmethod
    def connect(self) -> Any:
        """Return a connection of its own for a `with` block, as the driver or SQLAlchemy makes it."""

    def execute(self, sql: str, params: Params = None) -> int:
        """Run and commit one statement; return how many rows it changed.

        Raises:
            StepError: the database cannot be reached, or the statement fails.
        """
        with self.session(StopSwitch(), "write") as session:
            count = session.run(Query(sql, params), BATCH).row_count
            session.close_cursors()
            session.commit()
        return count

    def read(self, sql: str, params: Params = None) -> tuple[list[str], list[Row]]:
        """Return the columns and all rows of a query.

        Raises:
            StepError: the database cannot be reached, or the query fails, or it returns no rows.
        """
        with self.session(StopSwitch()) as session:
            answer = self._answer(session, sql, params, BATCH)
            return answer.columns, [tuple(row) for batch in answer.batches for row in batch]

    def fetchall(self, sql: str, params: Params = None) -> tuple[list[str], list[Row]]:
        """Return the columns and all rows of a query, as `read`."""
        return self.read(sql, params)

    def fetchmany(
        self, sql: str, params: Params = None, *, fetch_size: int = BATCH, sample_size: int = 200
    ) -> tuple[list[str], Iterator[Row], list[type]]:
        """Return the columns of a query, its rows one by one, and the Python type of each column.

        The connection is given back after the last row, or when the iterator is closed.

        Args:
            sql: the query.
            params: its parameters.
            fetch_size: how many rows are fetched at once.
            sample_size: how many rows are looked at for the types; a column without values is text.

        Raises:
            StepError: as for `read`.
        """
        with ExitStack() as stack:
            session = stack.enter_context(self.session(StopSwitch()))
            answer = self._answer(session, sql, params, fetch_size)
            rows = (tuple(row) for batch in answer.batches for row in batch)
            sample = list(islice(rows, sample_size))
            held = stack.pop_all()
        types = [
            next((type(row[at]) for row in sample if row[at] is not None), str)
            for at in range(len(answer.columns))
        ]

        def all_rows() -> Iterator[Row]:
            with held:
                yield from chain(sample, rows)

        return answer.columns, all_rows(), types

    def _answer(self, session: Session, sql: str, params: Params, size: int) -> Answer:
        query = Query(sql, params)
        answer = session.run(query, size)
        if answer.description is None:
            raise no_rows(self.name, query)
        return answer
