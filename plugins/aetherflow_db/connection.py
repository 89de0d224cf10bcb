"""The base class of the database connectors, and the function that steps read with."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import anyio

from aetherflow import Connector, StepContext, StepError, StopSwitch
from aetherflow_db.query import Query, Row, Rows

T = TypeVar("T")

FETCH_SIZE = 1000
"""Rows per batch: few enough to bound memory, enough that a batch costs little."""


class SqlConnector(Connector):
    """A database that runs queries, each on its own connection."""

    def __init__(self, name: str, *, most_connections: float = math.inf) -> None:
        """Remember the resource's name and how many queries may run at the same time."""
        self.name = name
        self.slots = anyio.CapacityLimiter(most_connections)

    @abc.abstractmethod
    def rows(self, query: Query, fetch_size: int, switch: StopSwitch) -> AbstractContextManager[Rows]:
        """Run a query and return its rows in a `with` block; blocking, so called in a worker thread.

        There is no commit. `switch` is armed with what interrupts the statement, if the driver can.

        Raises:
            StepError: the database cannot be reached, or refuses the statement, or it returns no rows.
        """


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
            return consume(Rows(rows.columns, _until_stopped(ctx, rows.batches)))

    return await ctx.run_interruptible(work, switch, limiter=connector.slots)


def _until_stopped(ctx: StepContext, batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    done = 0
    for batch in batches:
        ctx.raise_if_stopping()
        yield batch
        done += len(batch)
        ctx.progress(done, unit="rows")
