"""A sink calls what may block in one thread, one call at a time, whatever becomes of the callers."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

from aetherflow.observe.sink import Sink
from tests.polling import eventually

pytestmark = pytest.mark.asyncio


async def test_calls_are_made_off_the_loop_one_at_a_time_and_in_order() -> None:
    sink, seen, inside = Sink(), list[int](), threading.Lock()

    def work(number: int) -> None:
        assert inside.acquire(blocking=False)
        assert threading.current_thread() is not threading.main_thread()
        seen.append(number)
        inside.release()

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(sink.call, work, number)
    assert seen == list(range(100))


@pytest.mark.parametrize("error", [OSError("full"), SystemExit(3)])
async def test_what_a_call_raises_goes_to_its_caller_and_hurts_no_other(error: BaseException) -> None:
    sink, seen = Sink(), list[int]()

    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        await sink.call(fail)
    assert raised.value is error
    await sink.call(seen.append, 1)
    assert seen == [1]


async def test_a_cancelled_caller_leaves_its_call_running_and_the_next_begins_after_it() -> None:
    sink, seen, begun, gate = Sink(), list[str](), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        gate.wait(60)
        seen.append("slow")

    async with anyio.create_task_group() as first:
        first.start_soon(sink.call, work)
        assert await eventually(begun.is_set)
        first.cancel_scope.cancel()
    before = set(threading.enumerate())
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(sink.call, seen.append, "next")
        await anyio.wait_all_tasks_blocked()
        assert (seen, set(threading.enumerate()) - before) == ([], set())
        tasks.start_soon(anyio.to_thread.run_sync, gate.set)
    assert seen == ["slow", *["next"] * 20]


async def test_a_caller_that_is_cancelled_while_it_waits_for_its_turn_calls_nothing() -> None:
    sink, seen, gate = Sink(), list[str](), threading.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sink.call, gate.wait, 10)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.05):
            await sink.call(seen.append, "never")
        gate.set()
    await sink.call(seen.append, "after")
    assert seen == ["after"]


async def test_a_caller_that_is_cancelled_before_its_thread_begins_holds_nobody() -> None:
    sink, seen = Sink(), list[str]()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await sink.call(seen.append, "never")
    for delay in (0, 1, 2, 3):  # cancelled at each of its first steps
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sink.call, lambda: None)
            for _ in range(delay):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    with anyio.fail_after(20):
        await sink.call(seen.append, "after")
    assert seen == ["after"]


async def test_a_sink_needs_none_of_the_threads_that_all_share() -> None:
    limiter, gate, seen = anyio.to_thread.current_default_thread_limiter(), threading.Event(), list[int]()
    async with anyio.create_task_group() as tasks:
        for _ in range(int(limiter.total_tokens)):
            tasks.start_soon(anyio.to_thread.run_sync, gate.wait, 10)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(20):
            await Sink().call(seen.append, 1)
        gate.set()
    assert seen == [1]
