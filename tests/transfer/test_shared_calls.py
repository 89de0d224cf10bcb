"""Blocking calls of many tasks that share a worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from aetherflow.transfer.shared_calls import SharedCalls
from aetherflow.worker_threads import WorkerThreads

pytestmark = pytest.mark.asyncio


def shared() -> SharedCalls[int]:
    return SharedCalls(WorkerThreads("this test", 4))


async def test_calls_that_wait_together_share_a_thread_and_each_gets_its_own_result() -> None:
    calls = shared()
    threads: list[int] = []
    results: dict[int, int | str] = {}

    def work(number: int) -> Callable[[], int]:
        def call() -> int:
            threads.append(threading.get_ident())
            return 100 // number

        return call

    async def one(number: int) -> None:
        try:
            results[number] = await calls.run(work(number))
        except ZeroDivisionError:
            results[number] = "failed"

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)

    assert results == {number: 100 // number if number else "failed" for number in range(50)}
    assert len(threads) == 50
    assert len(set(threads)) == 1


async def test_if_the_task_that_leads_is_cancelled_another_one_leads() -> None:
    calls = shared()
    began, may_end = threading.Event(), threading.Event()
    results: list[int] = []

    def slow() -> int:
        began.set()
        may_end.wait(30)
        return 0

    async def one(number: int) -> None:
        results.append(await calls.run(lambda: number))

    try:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as leads:
                    leads.start_soon(calls.run, slow)
                    await anyio.to_thread.run_sync(began.wait, 30)
                    for number in (1, 2, 3):
                        tasks.start_soon(one, number)
                    leads.start_soon(calls.run, slow)  # waits, and is cancelled too
                    await anyio.wait_all_tasks_blocked()
                    assert results == []
                    scope.cancel()
    finally:
        may_end.set()

    assert sorted(results) == [1, 2, 3]
