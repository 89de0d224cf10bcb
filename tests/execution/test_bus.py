"""The bus: durable first, then observers that can be slow, broken or dead without hurting the run."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import StateError
from aetherflow.events.run_events import Event, Notice, RunStarted
from aetherflow.execution import bus as bus_module
from aetherflow.execution.bounded_queue import BoundedQueue
from aetherflow.execution.bus import Bus, lost_events
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run
from aetherflow.testing import MemoryJournal, Recorder
from tests.execution.live_run import query
from tests.execution.observer_doubles import AT, Broken, Full, Gated, began, jobs


@asynccontextmanager
async def stored_bus(folder: Path) -> AsyncIterator[Bus]:
    """Give a bus over a real database in which the run has begun."""
    database = await Database.open(folder / "state.sqlite", "normal")
    clock = SystemClock()
    claim = await claim_run(database, "r", this_process(), clock)
    bus = Bus(Journal(database).of_run(claim.lease, claim.next_seq), clock)
    await bus.publish([RunStarted(at=AT, flow_id="f", run_id="r", flow_file="f.yaml", owner="me")])
    try:
        yield bus
    finally:
        await database.aclose()


@pytest.mark.asyncio
async def test_publish_returns_when_the_events_are_in_the_file(tmp_path: Path) -> None:
    async with stored_bus(tmp_path) as bus:
        for number in range(3):
            await bus.publish([began(f"j{number}"), began(f"k{number}")])

            rows = query(tmp_path, "SELECT job_id FROM events WHERE event = 'job_started' ORDER BY seq")
            assert [row[0] for row in rows][-2:] == [f"j{number}", f"k{number}"]
    assert len(rows) == 6


@pytest.mark.asyncio
async def test_an_observer_sees_nothing_that_another_connection_does_not_see_too(tmp_path: Path) -> None:
    unseen: list[str] = []
    count = 0

    class Suspicious(Recorder):
        async def __call__(self, events: Sequence[Event]) -> None:
            nonlocal count
            there = {row[0] for row in query(tmp_path, "SELECT job_id FROM events")}
            unseen.extend(job for job in jobs(events) if job not in there)
            count += len(jobs(events))

    async with stored_bus(tmp_path) as bus, anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "suspicious", Suspicious())
        for number in range(100):
            await bus.publish([began(f"j{number}")])
        await bus.aclose()
    assert (unseen, count) == ([], 100)


@pytest.mark.asyncio
async def test_what_could_not_be_stored_is_shown_to_nobody() -> None:
    bus, seen = Bus(Full(), SystemClock()), Recorder()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "recorder", seen)
        with pytest.raises(StateError, match="1 events: the disk is full"):
            await bus.publish([began("a")])
        await bus.aclose()
    assert (seen.events, seen.closed) == ([], 1)


@pytest.mark.asyncio
async def test_nothing_is_stored_and_shown_for_an_empty_batch() -> None:
    bus, seen = Bus(Full(), SystemClock()), Recorder()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "recorder", seen)
        await bus.publish([])
        await bus.aclose()
    assert seen.batches == []


@pytest.mark.asyncio
async def test_every_observer_sees_every_event_in_order() -> None:
    bus, observers = Bus(MemoryJournal(), SystemClock()), [Recorder(), Recorder()]
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "one", observers[0])
        bus.subscribe(tasks, "other", observers[1], when_full="wait", capacity=7)
        for number in range(0, 90, 3):
            await bus.publish([began(str(n)) for n in range(number, number + 3)])
        await bus.aclose()
    for observer in observers:
        assert jobs(observer.events) == [str(n) for n in range(90)]
        assert observer.closed == 1
    assert max(observers[1].batches) <= 7


@pytest.mark.asyncio
async def test_an_observer_that_waits_is_never_given_more_than_its_queue_holds() -> None:
    bus, slow = Bus(MemoryJournal(), SystemClock()), Gated()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "slow", slow, when_full="wait", capacity=10)
        await bus.publish([began("first")])
        await slow.entered.wait()
        published = anyio.Event()

        async def publish() -> None:
            await bus.publish([began(str(n)) for n in range(35)])
            published.set()

        tasks.start_soon(publish)
        await anyio.wait_all_tasks_blocked()
        queue = bus._subscriptions[0].queue
        assert not published.is_set()
        assert len(queue._events) == 10

        slow.gate.set()
        await published.wait()
        await bus.aclose()
    assert jobs(slow.events) == ["first", *(str(n) for n in range(35))]
    assert bus.dropped == {}


@pytest.mark.asyncio
async def test_a_slow_observer_gets_a_notice_of_how_many_events_it_lost_and_where() -> None:
    bus, slow = Bus(MemoryJournal(), SystemClock()), Gated()
    before = lost_events["slow"]
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "slow", slow, capacity=3)
        await bus.publish([began("first")])
        await slow.entered.wait()
        await bus.publish([began(str(n)) for n in range(5)])
        await bus.publish([began("lost")])
        slow.gate.set()
        await bus.aclose()
    assert bus.dropped == {"slow": 3}
    assert slow.said == ["the observer slow was too slow and lost 3 events"]
    assert lost_events["slow"] - before == 3
    assert jobs(slow.events) == ["first", "0", "1", "2"]
    assert isinstance(slow.events[-1], Notice)


@pytest.mark.asyncio
async def test_the_losses_that_are_reported_add_up_to_those_that_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "REST_SECONDS", 0)
    bus = Bus(MemoryJournal(), SystemClock())
    reported, taken = 0, 0

    class Slow(Recorder):
        async def __call__(self, events: Sequence[Event]) -> None:
            nonlocal reported, taken
            for event in events:
                if isinstance(event, Notice):
                    reported += int(event.message.split()[-2])
                else:
                    taken += 1
            for _ in range(3):
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "slow", Slow(), capacity=4)
        for number in range(500):
            await bus.publish([began(f"{number}.{n}") for n in range(number % 7)])
            for _ in range(number % 4):
                await anyio.lowlevel.checkpoint()
        await bus.aclose()
    published = sum(number % 7 for number in range(500))
    assert reported == bus.dropped["slow"] > 0
    assert reported + taken == published


@pytest.mark.asyncio
async def test_an_observer_that_raises_is_detached_and_reported_to_the_others() -> None:
    bus, seen = Bus(MemoryJournal(), SystemClock()), Recorder()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "broken", Broken())
        bus.subscribe(tasks, "recorder", seen)
        await bus.publish([began("a")])
        notice = await seen.until(lambda event: isinstance(event, Notice))
        await bus.publish([began("b")])
        await bus.aclose()
    assert bus.detached == {"broken": "OSError: no space for 1"}
    assert isinstance(notice, Notice)
    assert (notice.level, notice.message) == (
        "warning",
        "the observer broken was detached: OSError: no space for 1",
    )
    assert jobs(seen.events) == ["a", "b"]


@pytest.mark.asyncio
async def test_nobody_misses_an_event_when_another_observer_breaks_while_the_bus_waits_for_it() -> None:
    class BrokenLater(Gated):
        async def __call__(self, events: Sequence[Event]) -> None:
            await super().__call__(events)
            raise OSError("gone")

    bus, broken, seen = Bus(MemoryJournal(), SystemClock()), BrokenLater(), Recorder()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "broken", broken, when_full="wait", capacity=1)
        bus.subscribe(tasks, "recorder", seen, when_full="wait")
        await bus.publish([began("a")])
        await broken.entered.wait()
        await bus.publish([began("b")])
        async with anyio.create_task_group() as publishing:
            publishing.start_soon(bus.publish, [began("c")])
            await anyio.wait_all_tasks_blocked()
            broken.gate.set()
        await bus.aclose()
    assert jobs(seen.events) == ["a", "b", "c"]
    assert bus.detached == {"broken": "OSError: gone"}


@pytest.mark.asyncio
async def test_an_observer_that_cannot_be_closed_is_remembered() -> None:
    bus = Bus(MemoryJournal(), SystemClock())
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "broken", Broken("close"))
        await bus.publish([began("a")])
        await bus.aclose()
    assert bus.detached == {"broken": "OSError: cannot close"}


@pytest.mark.asyncio
async def test_events_announced_by_other_threads_arrive_whole() -> None:
    bus, seen = Bus(MemoryJournal(), SystemClock()), Recorder()

    def announce(name: str) -> None:
        for number in range(50):
            bus.announce(began(f"{name}{number}"))

    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "recorder", seen)
        foreign = threading.Thread(target=announce, args=("f",))
        foreign.start()
        async with anyio.create_task_group() as workers:
            for name in "abc":
                workers.start_soon(anyio.to_thread.run_sync, announce, name)
        await anyio.to_thread.run_sync(foreign.join)
        await bus.aclose()
    for name in "abcf":
        own = [job for job in jobs(seen.events) if job.startswith(name)]
        assert own == [f"{name}{number}" for number in range(50)]


@pytest.mark.asyncio
async def test_an_event_of_another_thread_wakes_a_loop_that_has_nothing_else_to_do() -> None:
    arrived, threads = threading.Event(), list[int]()

    class Waking(Recorder):
        async def __call__(self, events: Sequence[Event]) -> None:
            threads.extend(threading.get_ident() for _ in events)
            arrived.set()

    bus = Bus(MemoryJournal(), SystemClock())

    def announce() -> bool:
        bus.announce(began("a"))
        return arrived.wait(30)

    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "waking", Waking())
        assert await anyio.to_thread.run_sync(announce)
        await bus.aclose()
    assert threads == [threading.get_ident()]


@pytest.mark.asyncio
async def test_a_queue_with_an_observer_that_waits_for_room_is_visited_before_its_rest_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "REST_SECONDS", 60)
    bus, seen = Bus(MemoryJournal(), SystemClock()), Recorder()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "recorder", seen, when_full="wait", capacity=2)
        with anyio.fail_after(20):
            await bus.publish([began(str(n)) for n in range(20)])
            await bus.aclose()
    assert len(seen.events) == 20


@pytest.mark.asyncio
async def test_a_closed_queue_gives_what_it_has_and_takes_nothing_more() -> None:
    queue = BoundedQueue(2)
    queue.offer([began("a")])
    queue.close()
    queue.offer([began("b")])
    await queue.put([began("c")])
    assert jobs(await queue.take()) == ["a"]
    assert await queue.take() == []


@pytest.mark.asyncio
async def test_an_error_of_ours_says_why_an_observer_was_detached_in_its_own_words() -> None:
    class Lost(Recorder):
        async def __call__(self, events: Sequence[Event]) -> None:
            raise StateError(f"nobody reads the {len(events)} events any more")

    bus = Bus(MemoryJournal(), SystemClock())
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "log", Lost())
        await bus.publish([began("a")])
        await bus.aclose()
    assert bus.detached == {"log": "nobody reads the 1 events any more"}
