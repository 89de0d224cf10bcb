"""Blocking calls of many tasks that share a worker thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import anyio
import pytest

from aetherflow.transfer.shared_calls import QUICK_SECONDS, SharedCalls
from aetherflow.worker_threads import WorkerThreads

pytestmark = pytest.mark.asyncio


def shared(*, must_end: bool = False, threads: int = 4) -> SharedCalls[int]:
    return SharedCalls(WorkerThreads("this test", threads), must_end=must_end)


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


async def test_slow_calls_have_a_thread_each() -> None:
    calls = shared()
    together = threading.Barrier(4)

    def slow() -> int:
        time.sleep(10 * QUICK_SECONDS)
        return 0

    await calls.run(slow)
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(calls.run, lambda: together.wait(10))


async def test_a_cancelled_task_waits_for_a_call_that_must_end_and_has_begun() -> None:
    calls = shared(must_end=True)
    began, may_end = threading.Event(), threading.Event()
    log: list[str] = []

    def slow() -> int:
        began.set()
        may_end.wait(10)
        return 0

    def other() -> int:
        log.append("made")
        return 0

    async def cancelled() -> None:
        try:
            await calls.run(other)
        finally:
            log.append("ended")

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls.run, slow)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as followers:
                    followers.start_soon(cancelled)
                    await anyio.to_thread.run_sync(began.wait, 10)
                    scope.cancel()
                    tasks.start_soon(anyio.to_thread.run_sync, may_end.set)
    finally:
        may_end.set()

    assert log == ["made", "ended"]


async def test_calls_that_must_end_and_have_not_begun_end_at_once_when_cancelled() -> None:
    calls = shared(must_end=True, threads=1)
    began, may_end, made = threading.Event(), threading.Event(), list[int]()

    def slow() -> int:
        began.set()
        may_end.wait(10)
        return 0

    def never() -> int:
        made.append(1)
        return 0

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(calls._threads.run, slow)
            await anyio.to_thread.run_sync(began.wait, 10)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as others:
                    for _ in range(3):
                        others.start_soon(calls.run, never)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            may_end.set()
    finally:
        may_end.set()

    assert made == []
