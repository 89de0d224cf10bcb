"""The common base of the database connectors, and the one way in which steps read through them."""

from __future__ import annotations

import abc
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeVar

import anyio
import anyio.to_thread
import msgspec

from aetherflow import ConfigError, Connector, Resource, StepContext, StepError
from aetherflow_db.query import Query, Row, Rows, StopSwitch

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

FETCH_SIZE = 1000
"""Rows per batch: few enough to bound memory, enough that a batch costs little."""

PRESS_AGAIN_SECONDS = 0.1


class SqlConnector(Connector):
    """A database that answers queries; each query has a connection of its own."""

    def __init__(self, name: str, *, most_connections: float = math.inf) -> None:
        """Take the resource's name, and how many queries may run at once."""
        self.name = name
        self.slots = anyio.CapacityLimiter(most_connections)

    @abc.abstractmethod
    def rows(self, query: Query, fetch_size: int, switch: StopSwitch) -> AbstractContextManager[Rows]:
        """Run a query and give its rows in a `with` block; blocking, so called in a worker thread.

        There is no commit. `switch` is armed with what interrupts the statement, if the driver can.

        Raises:
            StepError: the database cannot be reached, or refuses the statement, or it returns no rows.
        """


async def sql_connector(ctx: StepContext, resource: str) -> SqlConnector:
    """Return the open connector of a database resource.

    Raises:
        StepError: it cannot be opened, or is no database.
    """
    found = await ctx.connector(resource)
    if not isinstance(found, SqlConnector):
        raise StepError(
            f"resource {resource!r} is no database",
            hint="name a resource of kind db",
            code="AF743",
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
        try:
            with connector.rows(query, fetch_size, switch) as rows:
                return consume(Rows(rows.columns, _until_stopped(ctx, rows.batches)))
        except StepError:
            ctx.raise_if_stopping()  # the failure is our own interrupt
            raise

    outcome: list[T] = []
    failure: list[Exception] = []
    ended = anyio.Event()
    async with connector.slots, anyio.create_task_group() as tasks:
        tasks.start_soon(_interrupt_when_cancelled, ctx, switch, ended)
        try:
            outcome.append(await ctx.run_sync(work))
        except Exception as error:  # noqa: BLE001 - raised below, outside the group, which would wrap it
            failure.append(error)
        finally:
            ended.set()
    if failure:
        raise failure[0]
    return outcome[0]


_one_at_a_time = threading.Lock()
"""Two threads that are the first to convert to a type end the process (msgspec 0.21)."""


def settings(resource: Resource, part: Literal["config", "options"], shape: type[S]) -> S:
    """Return a resource's config or options as the Struct that the connector names.

    Raises:
        ConfigError: an unknown or missing key, or a value of the wrong type.
    """
    try:
        with _one_at_a_time:
            return msgspec.convert(getattr(resource, part), shape, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"resource {resource.name!r} ({resource.kind}:{resource.driver}), {part}: {error}",
            hint=f"its {part} may have: {', '.join(shape.__struct_encode_fields__)}",
        ) from None


async def _interrupt_when_cancelled(ctx: StepContext, switch: StopSwitch, ended: anyio.Event) -> None:
    """Wait for the end of the work; when cancelled before, interrupt it, again and again until it ends."""
    try:
        await ended.wait()
    except anyio.get_cancelled_exc_class():
        with anyio.CancelScope(shield=True):
            while not ended.is_set():
                await _press(ctx, switch)
                with anyio.move_on_after(PRESS_AGAIN_SECONDS):
                    await ended.wait()
        raise


async def _press(ctx: StepContext, switch: StopSwitch) -> None:
    try:
        await anyio.to_thread.run_sync(switch.press)
    except Exception as error:  # noqa: BLE001 - told; the thread still has its time to end by itself
        ctx.say(f"the statement could not be interrupted: {error}", "warning")


def _until_stopped(ctx: StepContext, batches: Iterator[Sequence[Row]]) -> Iterator[Sequence[Row]]:
    for batch in batches:
        ctx.raise_if_stopping()
        yield batch
