"""An executor is opened by the first run that uses it, and closed after the last one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
import pytest

from aetherflow.errors import ExecutorError
from aetherflow.execution.shared_executors import executors_in_use, keep_executors_open
from aetherflow.sdk.executor import OpenExecutor
from tests.polling import eventually


class Cluster:
    """What an executor would connect to; counts how often that happens."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.error: Exception | None = None
        self.ready = anyio.Event()
        self.ready.set()
        self.log: Callable[[str, str], None] = print

    @asynccontextmanager
    async def open(self, log: Callable[[str, str], None]) -> AsyncIterator[OpenExecutor]:
        self.opened += 1
        self.log = log
        try:
            await self.ready.wait()
            if self.error is not None:
                raise self.error
            yield cast("OpenExecutor", self)
        finally:
            self.closed += 1

    def was_closed(self, times: int) -> bool:
        return self.closed == times


def nowhere(level: str, text: str) -> None:
    raise AssertionError((level, text))


@pytest.mark.asyncio
async def test_an_executor_of_one_run_is_closed_with_it() -> None:
    cluster = Cluster()
    async with executors_in_use() as shared, shared.use("k", "dask", cluster.open, nowhere) as opened:
        assert cast("Any", opened) is cluster
        assert cluster.closed == 0
    assert (cluster.opened, cluster.closed) == (1, 1)


@pytest.mark.asyncio
async def test_runs_at_the_same_time_share_one() -> None:
    cluster = Cluster()
    said: list[str] = []

    async def run(name: str, entered: anyio.Event, leave: anyio.Event) -> None:
        async with executors_in_use() as shared:
            log = lambda level, text: said.append(f"{name} {level} {text}")  # noqa: E731 - of this run
            async with shared.use("k", "dask", cluster.open, log):
                entered.set()
                await leave.wait()

    entered, leave = [anyio.Event(), anyio.Event()], [anyio.Event(), anyio.Event()]
    async with keep_executors_open(0), anyio.create_task_group() as tasks:
        tasks.start_soon(run, "one", entered[0], leave[0])
        await entered[0].wait()
        tasks.start_soon(run, "two", entered[1], leave[1])
        await entered[1].wait()
        cluster.log("info", "a worker came")
        leave[0].set()
        await anyio.wait_all_tasks_blocked()
        assert cluster.closed == 0
        leave[1].set()
    assert (cluster.opened, cluster.closed) == (1, 1)
    assert said == ["one info a worker came", "two info a worker came"]


@pytest.mark.asyncio
async def test_a_server_keeps_one_for_the_next_run_and_closes_it_at_its_end() -> None:
    cluster = Cluster()
    async with keep_executors_open(3600):
        for _ in range(2):
            async with executors_in_use() as shared, shared.use("k", "dask", cluster.open, nowhere):
                pass
        assert (cluster.opened, cluster.closed) == (1, 0)
    assert cluster.closed == 1


@pytest.mark.asyncio
async def test_one_that_nobody_uses_for_long_is_closed_and_opened_again() -> None:
    cluster = Cluster()
    async with keep_executors_open(0.01):
        for times in (1, 2):
            async with executors_in_use() as shared, shared.use("k", "dask", cluster.open, nowhere):
                assert cluster.opened == times
            assert await eventually(partial(cluster.was_closed, times))


@pytest.mark.asyncio
async def test_an_error_of_opening_reaches_the_run_and_the_next_one_tries_again() -> None:
    cluster = Cluster()
    cluster.error = ExecutorError("nobody is there")
    async with keep_executors_open(3600), executors_in_use() as shared:
        with pytest.raises(ExecutorError, match="nobody is there"):
            async with shared.use("k", "dask", cluster.open, nowhere):
                raise AssertionError
        cluster.error = ZeroDivisionError("a bug")
        with pytest.raises(ExecutorError, match="the executor 'dask' cannot be opened: a bug"):
            async with shared.use("k", "dask", cluster.open, nowhere):
                raise AssertionError
        cluster.error = None
        async with shared.use("k", "dask", cluster.open, nowhere):
            assert cluster.opened == 3


@pytest.mark.asyncio
async def test_a_run_that_is_stopped_while_it_connects_leaves_nothing_behind() -> None:
    cluster = Cluster()
    cluster.ready = anyio.Event()
    async with executors_in_use() as shared:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def connect() -> None:
                    async with shared.use("k", "dask", cluster.open, nowhere):
                        raise AssertionError

                tasks.start_soon(connect)
                assert await eventually(lambda: cluster.opened == 1)
                scope.cancel()
        assert cluster.closed == 1


@pytest.mark.asyncio
async def test_a_run_that_is_cancelled_has_its_executor_until_it_has_ended() -> None:
    cluster = Cluster()
    closed_before_the_end: list[int] = []
    with anyio.CancelScope() as scope:
        async with executors_in_use() as shared, shared.use("k", "dask", cluster.open, nowhere):
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                closed_before_the_end.append(cluster.closed)
    assert (closed_before_the_end, cluster.closed) == ([0], 1)
