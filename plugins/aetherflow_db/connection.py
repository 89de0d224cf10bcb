"""The base class of the database connectors, and the function that steps read with."""

from __future__ import annotations

import abc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import Any, TypeVar

import anyio
import msgspec

from aetherflow import Connector, Resource, StepContext, StepError, StopSwitch
from aetherflow.data_files import ArrowRows, TextRows
from aetherflow_db.column_kinds import columns_of, times_of_day
from aetherflow_db.driver import Driver, SessionMode
from aetherflow_db.failures import first_statement_failed, no_rows
from aetherflow_db.fast_rows import Wanted, fast_rows
from aetherflow_db.plain_calls import PlainCalls
from aetherflow_db.query import Query, Row, Rows
from aetherflow_db.session import Session
from aetherflow_db.sqlite_apart import apart, first_rows
from aetherflow_db.sqlite_columns import declared_columns
from aetherflow_db.sqlite_process import InexactError, SqliteProcess

T = TypeVar("T")

PAUSE_SECONDS = 50e-6
"""How long a thread that fetches rows sleeps after each batch."""

FETCH_SIZE = 1000
"""Rows per batch: few enough to bound memory, enough that a batch costs little."""


class Loan(msgspec.Struct, frozen=True):
    """A connection that is lent for a session.

    Attributes:
        raw: the driver's connection.
        interrupt: ends the statement that runs on it, at the server too; called in another thread. None: the
            driver cannot.
        give_back: ends its transaction and lets others use it.
        discard: closes it at once: an interrupt that arrives late must not hit the next statement, and some
            drivers would read the rest of a large answer before they give a connection back.
    """

    raw: Any
    interrupt: Callable[[], object] | None
    give_back: Callable[[], None]
    discard: Callable[[], None]


class SqlConnector(PlainCalls, Connector):
    """A database. Each query has a connection of its own, from a pool if the database has one.

    Attributes:
        place: the database in words, without user and password.
        dialect: what SQLAlchemy calls the database.
        driver: the driver of the resource, the second half of `db:DRIVER`.
        slots: limits how many sessions there are at once.
    """

    def __init__(
        self, resource: Resource, *, place: str, dialect: str, most_connections: float = math.inf
    ) -> None:
        """Remember the resource, and how many queries may run at the same time."""
        self.name, self.kind, self.driver = resource.name, resource.kind, resource.driver
        self.config, self.options = resource.config, resource.options
        self.place = place
        self.dialect = dialect
        self.slots = anyio.CapacityLimiter(most_connections)

    @property
    @abc.abstractmethod
    def module(self) -> Driver:
        """The driver module, with what is peculiar to it."""

    @abc.abstractmethod
    def lend(self, switch: StopSwitch) -> Loan:
        """Lend a connection; blocking. `switch` is armed while a connection is tested.

        Raises:
            StepError: the database cannot be reached, or refuses the login.
        """

    @contextmanager
    def session(self, switch: StopSwitch, mode: SessionMode = "read") -> Iterator[Session]:
        """Lend a connection for a `with` block; blocking, so called in a worker thread.

        `switch` is armed with what interrupts a statement. What was not committed is rolled back, and after
        an error of the block the connection is closed.

        Raises:
            StepError: the database cannot be reached, or a statement in the block fails.
        """
        loan = self.lend(switch)
        session = Session(self.name, self.place, self.dialect, self.module, loan.raw, mode)
        try:
            with switch.armed(loan.interrupt):
                self.module.begin(loan.raw, mode)
                yield session
                session.close_cursors()
            self.module.end(loan.raw, mode)
            loan.give_back()
        except self.module.errors as error:
            failure = session.failure(error)
            self._discard(session, loan)
            raise failure from error
        except BaseException:
            self._discard(session, loan)
            raise

    @contextmanager
    def rows(self, query: Query, fetch_size: int, switch: StopSwitch) -> Iterator[Rows]:
        """Run a query and return its rows in a `with` block; blocking, so called in a worker thread.

        There is no commit. `switch` is armed with what interrupts the statement.

        Raises:
            StepError: the database cannot be reached, or refuses the statement, or it returns no rows.
        """
        with self.session(switch) as session:
            yield self._fetched(session, query, fetch_size)

    @contextmanager
    def table(
        self, query: Query, fetch_size: int, switch: StopSwitch, wanted: Wanted
    ) -> Iterator[Rows | ArrowRows | TextRows]:
        """Run a query as `rows` does, in the fastest way that there is for the purpose.

        Raises:
            StepError: as for `rows`.
            InexactError: while one iterates: the way was wrong, and another is to be taken.
        """
        with self.session(switch) as session:
            fast = fast_rows(session, query, fetch_size, wanted)
            if fast is not None:
                yield fast
                return
            candidate = apart(session, query) if wanted.may_be_apart else None
            rows = self._fetched(session, query, fetch_size)
            if candidate is None:
                yield rows
                return
            with closing(SqliteProcess()) as process:
                first, has_more = first_rows(rows, process.start)
                request = None
                if has_more:
                    request = candidate.request(rows.columns, [*chain(*first)], is_parquet=wanted.is_parquet)
                if request is None:
                    process.close()
                    yield Rows(rows.columns, chain(first, rows.batches))
                    return
                first.clear()
                session.close_cursors()
                with switch.armed(process.kill):
                    yield ArrowRows(rows.columns, process.batches(request, rows.names))

    def run_first(self, connection: Any, statement: str) -> None:
        """Run a statement of the options that each connection begins with, on one that executes by itself.

        Raises:
            StepError: the database refuses it.
            Exception: the driver's own error, if the connection is lost.
        """
        try:
            connection.execute(statement)
        except self.module.errors as error:
            if self.module.cause(error, connection) == "lost":
                raise
            raise first_statement_failed(self.name, statement, error) from error

    def _fetched(self, session: Session, query: Query, fetch_size: int) -> Rows:
        declared = declared_columns(session.raw, query)
        # Rows of SQLite come without a network, so that small batches cost nothing and let other threads run.
        answer = session.run(query, fetch_size if declared is None else min(fetch_size, 2 * FETCH_SIZE))
        if answer.description is None:
            raise no_rows(self.name, query)
        columns = columns_of(session.driver.module, answer.description)
        if declared is not None and len(declared) == len(columns):
            named = zip(declared, columns, strict=True)
            columns = tuple(msgspec.structs.replace(one, name=other.name) for one, other in named)
        return Rows(columns, times_of_day(columns, answer.batches))

    def _discard(self, session: Session, loan: Loan) -> None:
        if self.module.locks_while_open:
            with suppress(*self.module.errors):  # its connection may be closed already
                session.close_cursors()
        loan.discard()


async def sql_connector(ctx: StepContext, resource: str) -> SqlConnector:
    """Return the open connector of a database resource.

    Raises:
        StepError: the connector cannot be opened, or is not a database.
    """
    found = await ctx.connector(resource)
    if not isinstance(found, SqlConnector):
        raise StepError(
            f"resource {resource!r} is no database", hint="name a resource of kind db", code="AF743"
        )
    return found


async def read(
    ctx: StepContext,
    connector: SqlConnector,
    query: Query,
    consume: Callable[[Rows], T],
    fetch_size: int = FETCH_SIZE,
) -> T:
    """Run a query and `consume` its rows, both in one worker thread; return what `consume` returns.

    When the step is cancelled the statement is interrupted, and no further batch is given out.

    Raises:
        StepError: see `SqlConnector.rows`.
    """
    switch = StopSwitch()

    def work() -> T:
        ctx.raise_if_stopping()
        with connector.rows(query, fetch_size, switch) as rows:
            return consume(Rows(rows.columns, _counted(ctx, rows.batches)))

    return await ctx.run_interruptible(work, switch, limiter=connector.slots)


async def read_table(
    ctx: StepContext,
    connector: SqlConnector,
    query: Query,
    consume: Callable[[Rows | ArrowRows | TextRows], T],
    fetch_size: int,
    wanted: Wanted,
) -> T:
    """Run a query as `read` does, in the fastest way for the purpose; `consume` reports the progress.

    Raises:
        StepError: see `SqlConnector.rows`.
    """
    switch = StopSwitch()

    def work(wanted: Wanted) -> T:
        ctx.raise_if_stopping()
        with connector.table(query, fetch_size, switch, wanted) as rows:
            match rows:
                case Rows():
                    return consume(Rows(rows.columns, _with_pauses(_until_stopped(ctx, rows.batches))))
                case ArrowRows():
                    return consume(ArrowRows(rows.columns, _until_stopped(ctx, rows.batches)))
                case TextRows():
                    return consume(TextRows(rows.columns, _until_stopped(ctx, rows.blocks)))

    def attempt() -> T:
        try:
            return work(wanted)
        except InexactError:
            return work(Wanted())

    return await ctx.run_interruptible(attempt, switch, limiter=connector.slots)


def _until_stopped(ctx: StepContext, batches: Iterator[T]) -> Iterator[T]:
    for batch in batches:
        ctx.raise_if_stopping()
        yield batch


def _with_pauses(batches: Iterator[T]) -> Iterator[T]:
    """Let other threads have Python's lock after each batch: drivers that make rows hold it all the time."""
    for batch in batches:
        yield batch
        time.sleep(PAUSE_SECONDS)


def _counted(ctx: StepContext, batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    done = 0
    for batch in _until_stopped(ctx, batches):
        yield batch
        done += len(batch)
        ctx.progress(done, unit="rows")
