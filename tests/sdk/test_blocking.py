"""Blocking calls: interrupted when their step is cancelled, bounded by limiters of their own."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from aetherflow import StepContext, StepError, StopSwitch, run_blocking
from aetherflow.events.run_events import Notice
from aetherflow.sdk import blocking
from aetherflow.testing import FakeRun
from tests.polling import eventually, wait_until

pytestmark = pytest.mark.asyncio


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path)


class Library:
    """Blocks until somebody interrupts it; interrupts before it waits are lost, as in most libraries."""

    def __init__(self) -> None:
        self.waits = threading.Event()
        self.ended = threading.Event()
        self.interrupts = 0

    def interrupt(self) -> None:
        """End what waits now."""
        self.interrupts += 1
        if self.waits.is_set():
            self.ended.set()

    def query(self) -> None:
        """Wait to be interrupted."""
        self.waits.set()
        assert self.ended.wait(30)
        raise OSError("interrupted")


async def cancelled_once(waits: Callable[[], bool], function: Callable[[], object]) -> None:
    """Call and cancel as soon as it waits."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(function)  # type: ignore[arg-type]  # a coroutine function by a lambda
        assert await eventually(waits)
        tasks.cancel_scope.cancel()


async def test_what_blocks_returns_its_value_and_raises_its_error(run: FakeRun) -> None:
    context = run.context()
    assert await context.run_interruptible(lambda: 7, lambda: None) == 7
    with pytest.raises(ZeroDivisionError):
        await context.run_interruptible(lambda: 1 // 0, lambda: None)


async def test_a_cancelled_call_is_interrupted_until_it_ends_and_its_error_is_not_shown(run: FakeRun) -> None:
    library, context = Library(), run.context()
    await cancelled_once(
        library.waits.is_set, lambda: context.run_interruptible(library.query, library.interrupt)
    )
    assert library.ended.is_set()
    assert run.of(Notice) == []


async def test_a_time_limit_interrupts_a_call_that_had_not_begun_to_wait(run: FakeRun) -> None:
    library, context = Library(), run.context()

    def begin_late() -> None:
        anyio.from_thread.run_sync(setattr, scope, "deadline", -math.inf)
        wait_until(lambda: library.interrupts > 0)
        library.query()

    with pytest.raises(TimeoutError):
        with anyio.fail_after(60) as scope:
            await context.run_interruptible(begin_late, library.interrupt)
    assert library.ended.is_set()
    assert library.interrupts > 1


async def test_a_call_that_cannot_be_interrupted_is_left_behind_and_reported(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "THREAD_STOP_SECONDS", 1)
    library, context = Library(), run.context()

    def broken() -> None:
        raise OSError("no such connection")

    await cancelled_once(library.waits.is_set, lambda: context.run_interruptible(library.query, broken))
    assert run.logged == [
        "the call could not be interrupted: no such connection",
        "the step's thread did not stop within 1 s and was left behind",
    ]
    library.ended.set()


async def test_an_interrupt_that_blocks_does_not_hold_the_step_for_ever(
    run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking, "THREAD_STOP_SECONDS", 0.05)
    library, context = Library(), run.context()
    with anyio.fail_after(20):
        await cancelled_once(
            library.waits.is_set,
            lambda: context.run_interruptible(library.query, lambda: library.ended.wait(30)),
        )
    library.ended.set()


async def test_calls_wait_for_the_limiter_that_is_given(run: FakeRun) -> None:
    limiter, context = anyio.CapacityLimiter(2), run.context()
    at_once: list[int] = []
    now, lock, both = [0], threading.Lock(), threading.Barrier(2, timeout=30)

    def work() -> None:
        with lock:
            now[0] += 1
            at_once.append(now[0])
        both.wait()
        with lock:
            now[0] -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(lambda: context.run_interruptible(work, lambda: None, limiter=limiter))
    assert max(at_once) == 2


async def test_a_cancelled_call_does_not_stop_another_one_of_the_same_step(run: FakeRun) -> None:
    context = run.context()
    begun, go_on = threading.Event(), threading.Event()

    def other() -> bool:
        begun.set()
        assert go_on.wait(30)
        return context.stopping

    seen: list[bool] = []

    async def run_other() -> None:
        seen.append(await context.run_sync(other))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_other)
        assert await eventually(begun.is_set)
        library = Library()
        await cancelled_once(
            library.waits.is_set, lambda: context.run_interruptible(library.query, library.interrupt)
        )
        go_on.set()
    assert seen == [False]


def stops(context: StepContext, begun: threading.Event) -> None:
    """Look whether to stop, from a thread that the step started itself."""
    begun.set()
    while not context.stopping:
        time.sleep(0.001)


async def test_a_thread_that_a_step_started_sees_that_it_shall_stop(run: FakeRun) -> None:
    context, begun, ended = run.context(), threading.Event(), threading.Event()

    def work() -> None:
        helper = threading.Thread(target=stops, args=(context, begun))
        helper.start()
        helper.join(10)
        ended.set()

    await cancelled_once(begun.is_set, lambda: context.run_sync(work))
    assert ended.is_set()


async def test_a_switch_is_safe_to_press_before_during_and_after() -> None:
    pressed: list[str] = []
    switch = StopSwitch()
    switch()
    with switch.armed(lambda: pressed.append("now")):
        switch()
    switch()
    with switch.armed(None):
        switch()
    assert pressed == ["now"]


async def test_calls_of_connectors_have_threads_of_their_own_and_are_not_waited_for() -> None:
    release = threading.Event()
    async with anyio.create_task_group() as tasks:
        default = anyio.to_thread.current_default_thread_limiter()
        for _ in range(int(default.total_tokens)):
            tasks.start_soon(lambda: anyio.to_thread.run_sync(release.wait, 30))
        assert await eventually(lambda: not default.available_tokens)
        with anyio.fail_after(20):
            assert await run_blocking(int, "7") == 7
        with anyio.move_on_after(0.01):
            await run_blocking(release.wait, 30)
        release.set()


async def test_an_error_of_a_connector_comes_out_as_it_is() -> None:
    with pytest.raises(StepError, match="no"):
        await run_blocking(_refuse)


def _refuse() -> None:
    raise StepError("no")
