"""An observer that hangs holds neither the end of a run nor its memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.execution import bus as bus_module
from aetherflow.execution.bus import Bus
from aetherflow.testing import MemoryJournal, Recorder
from tests.execution.observer_doubles import Gated, Hung, began, jobs


def skip_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time of this loop stand still while it works, and jump where it would only wait."""
    loop: Any = asyncio.get_running_loop()
    now, select = loop.time(), loop._selector.select

    def skip(timeout: float | None = None) -> Any:
        nonlocal now
        ready = select(None if timeout is None else 0)
        if not ready and timeout:
            now += timeout
        return ready

    monkeypatch.setattr(loop, "time", lambda: now)
    monkeypatch.setattr(loop._selector, "select", skip)


@pytest.mark.asyncio
@pytest.mark.parametrize("when_full", ["wait", "drop"])
@pytest.mark.parametrize("also_at_end", [False, True])
async def test_a_hung_observer_does_not_hold_the_end(
    monkeypatch: pytest.MonkeyPatch, when_full: str, *, also_at_end: bool
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 1.0)
    skip_waits(monkeypatch)
    bus, hung = Bus(MemoryJournal(), SystemClock()), Hung(also_at_end=also_at_end)
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "hung", hung, when_full=when_full)  # type: ignore[arg-type]  # one of the two
        await bus.publish([began("a")])
        await anyio.wait_all_tasks_blocked()
        before = anyio.current_time()
        await bus.aclose()
        assert anyio.current_time() - before > 0.75
    assert anyio.current_time() - before < 1.01  # its events and its end have this second together
    assert hung.closings == 1
    assert bus.detached == {"hung": "it did not write its last events before the run ended"}


@pytest.mark.asyncio
async def test_a_run_that_shall_stop_is_not_held_by_an_observer_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.2)
    bus = Bus(MemoryJournal(), SystemClock())
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "hung", Hung(), when_full="wait", capacity=2)
        await bus.publish([began("a")])
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as publishing:
            publishing.start_soon(bus.publish, [began(str(n)) for n in range(5)])
            await anyio.wait_all_tasks_blocked()
            before = anyio.current_time()
            bus.hurry()
        assert 0.15 < anyio.current_time() - before < 20
        await bus.publish([began("late")])
        await bus.aclose()
    assert bus.dropped == {"hung": 4}


@pytest.mark.asyncio
async def test_hurry_costs_a_slow_observer_that_still_works_nothing() -> None:
    bus, slow = Bus(MemoryJournal(), SystemClock()), Gated()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "slow", slow, when_full="wait", capacity=2)
        await bus.publish([began("a")])
        await slow.entered.wait()
        async with anyio.create_task_group() as publishing:
            publishing.start_soon(bus.publish, [began(str(n)) for n in range(9)])
            await anyio.wait_all_tasks_blocked()
            bus.hurry()
            slow.gate.set()
        await bus.aclose()
    assert len(jobs(slow.events)) == 10
    assert bus.dropped == {}


@pytest.mark.asyncio
async def test_observers_outlive_a_cancellation_until_the_bus_is_closed() -> None:
    bus, seen = Bus(MemoryJournal(), SystemClock()), Recorder()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "recorder", seen, when_full="wait", capacity=1)
        await bus.publish([began("a")])
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            for number in range(5):
                await bus.publish([began(str(number))])
            await bus.aclose()
    assert jobs(seen.events) == ["a", "0", "1", "2", "3", "4"]
    assert seen.closed == 1


@pytest.mark.asyncio
async def test_an_observer_that_hangs_is_closed_properly_even_in_a_run_that_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.2)
    closed: list[str] = []

    class Slow(Hung):
        async def aclose(self) -> None:
            await anyio.sleep(0.01)
            closed.append("properly")

    bus = Bus(MemoryJournal(), SystemClock())
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "slow", Slow())
        await bus.publish([began("a")])
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
        await bus.aclose()
        closed.append("and waited for")
    assert closed == ["properly", "and waited for"]


@pytest.mark.asyncio
async def test_a_hundred_thousand_events_past_a_hung_observer_cost_little_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.1)
    bus = Bus(MemoryJournal(), SystemClock())
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "hung", Hung())
        await bus.publish([began("a")])
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        tracemalloc.start()
        for number in range(1000):
            await bus.publish([began(f"job-{number}-{n}") for n in range(100)])
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await bus.aclose()
    assert grown < 50_000_000
    assert bus.dropped == {"hung": 90_000}
