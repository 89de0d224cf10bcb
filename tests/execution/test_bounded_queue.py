"""The bounded queue of an observer: what program output may take of it, and what not."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from aetherflow.clock import SystemClock
from aetherflow.events import run_events as e
from aetherflow.execution.bounded_queue import BoundedQueue
from aetherflow.execution.bus import Bus
from aetherflow.testing import MemoryJournal
from tests.execution.observer_doubles import Gated, began
from tests.store.real_parts import T0

COMMON: dict[str, Any] = {"at": T0, "flow_id": "f", "run_id": "r"}


def line(number: int) -> e.StepOutput:
    return e.StepOutput(
        **COMMON, job_id="a", step_id="s", step_type="t", stream="stdout", text=f"line {number}"
    )


def warning(message: str) -> e.Notice:
    return e.Notice(**COMMON, level="warning", message=message)


@pytest.mark.asyncio
async def test_output_of_programs_leaves_room_for_warnings() -> None:
    queue = BoundedQueue(20)
    for number in range(50):
        queue.offer([line(number)])
    queue.offer([warning("first")])
    queue.offer([began("a")])
    queue.offer([line(99)])

    taken = await queue.take()

    assert [event.text for event in taken if isinstance(event, e.StepOutput)] == [
        f"line {number}" for number in range(18)
    ]
    assert taken[18:] == [warning("first"), began("a")]
    assert queue.dropped == 33


@pytest.mark.asyncio
@pytest.mark.parametrize("when_full", ["wait", "drop"])
async def test_a_flood_of_output_costs_a_busy_observer_no_warning(when_full: Any) -> None:
    bus, busy = Bus(MemoryJournal(), SystemClock()), Gated()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "busy", busy, capacity=100, when_full=when_full)
        await bus.publish([began("a")])
        await busy.entered.wait()
        for number in range(1000):
            bus.announce(line(number))
            if number % 100 == 99:
                bus.announce(warning(f"number {number}"))
        busy.gate.set()
        await bus.aclose()
    assert busy.said == [f"number {number}" for number in range(99, 1000, 100)] + [
        "the observer busy was too slow and lost 910 events"
    ]
    assert bus.dropped == {"busy": 910}


@pytest.mark.asyncio
async def test_a_queue_of_one_takes_output_too() -> None:
    queue = BoundedQueue(1)
    queue.offer([line(1)])
    assert await queue.take() == [line(1)]


@pytest.mark.asyncio
async def test_a_run_waits_for_a_slow_reader_only_briefly_and_what_it_lost_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aetherflow.execution.bus.PATIENCE_SECONDS", 0.05)
    bus, slow = Bus(MemoryJournal(), SystemClock()), Gated()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "slow", slow, capacity=10, when_full="wait_briefly")
        await bus.publish([began("a")])
        await slow.entered.wait()
        for _ in range(5):
            await bus.publish([began("b")] * 10)
        assert bus.dropped["slow"] >= 30
        slow.gate.set()
        await bus.aclose()
    (notice,) = [event for event in slow.events if isinstance(event, e.Notice)]
    assert notice.message == f"the observer slow was too slow and lost {bus.dropped['slow']} events"
    assert [(event.seq, event.sub_seq) for event in slow.events][-1] == (51, 1)


@pytest.mark.asyncio
async def test_a_reader_that_reads_gets_everything_of_a_large_batch() -> None:
    queue = BoundedQueue(10, patience=60)
    taken: list[e.Event] = []

    async def read() -> None:
        while len(taken) < 1000:
            taken.extend(await queue.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await queue.put([began(f"j{number}") for number in range(1000)])

    assert len(taken) == 1000
    assert queue.dropped == 0
