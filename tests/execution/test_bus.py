"""The bus: durable first, then observers that can be slow, broken or dead without hurting the run."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from aetherflow.clock import SystemClock
from aetherflow.errors import StateError
from aetherflow.events.run_events import Event, JobStarted, Notice, RunStarted
from aetherflow.execution import bus as bus_module
from aetherflow.execution.bounded_queue import BoundedQueue
from aetherflow.execution.bus import Bus
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.process_identity import this_process
from aetherflow.store.run_lease import claim_run
from aetherflow.testing import MemoryJournal, Recorder
from tests.execution.live_run import query

AT = datetime(2026, 1, 1, tzinfo=UTC)


def began(job_id: str) -> JobStarted:
    """Return an event that may be stored many times, for different jobs."""
    return JobStarted(at=AT, flow_id="f", run_id="r", job_id=job_id)


def jobs(events: Sequence[Event]) -> list[str]:
    """Return the job ids of what is no notice."""
    return [event.job_id for event in events if isinstance(event, JobStarted)]


class Full:
    """A durable side whose disk is full."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Refuse."""
        raise StateError(f"{len(events)} events: the disk is full")


class Gated:
    """An observer that takes a batch only when the test opens its gate."""

    def __init__(self) -> None:
        self.gate = anyio.Event()
        self.entered = anyio.Event()
        self.events: list[Event] = []
        self.closed = False

    async def __call__(self, events: Sequence[Event]) -> None:
        """Wait at the gate."""
        self.entered.set()
        await self.gate.wait()
        self.events += events

    async def aclose(self) -> None:
        """Remember."""
        self.closed = True

    @property
    def said(self) -> list[str]:
        """Return the texts of the notices."""
        return [event.message for event in self.events if isinstance(event, Notice)]


class Broken:
    """An observer that raises."""

    def __init__(self, at: str = "call") -> None:
        self.at = at

    async def __call__(self, events: Sequence[Event]) -> None:
        """Raise."""
        if self.at == "call":
            raise OSError(f"no space for {len(events)}")

    async def aclose(self) -> None:
        """Raise."""
        if self.at == "close":
            raise OSError("cannot close")


class Hung:
    """An observer that never comes back, not even from its end if `also_at_end`."""

    def __init__(self, *, also_at_end: bool = False) -> None:
        self.also_at_end = also_at_end
        self.closings = 0

    async def __call__(self, events: Sequence[Event]) -> None:
        """Hang."""
        del events
        await anyio.sleep_forever()

    async def aclose(self) -> None:
        """Count, and perhaps hang."""
        self.closings += 1
        if self.also_at_end:
            await anyio.sleep_forever()


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
@pytest.mark.parametrize("when_full", ["wait", "drop"])
@pytest.mark.parametrize("also_at_end", [False, True])
async def test_a_hung_observer_does_not_hold_the_end(
    monkeypatch: pytest.MonkeyPatch, when_full: str, *, also_at_end: bool
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.4)
    bus, hung = Bus(MemoryJournal(), SystemClock()), Hung(also_at_end=also_at_end)
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "hung", hung, when_full=when_full)  # type: ignore[arg-type]  # one of the two
        await bus.publish([began("a")])
        await anyio.wait_all_tasks_blocked()
        before = anyio.current_time()
        await bus.aclose()
        assert 0.3 < anyio.current_time() - before < 0.7
    assert anyio.current_time() - before < 0.75
    assert hung.closings == 1
    assert bus.detached == {"hung": "it did not take the remaining events in time"}


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
        assert 0.15 < anyio.current_time() - before < 2
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
        return arrived.wait(5)

    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, "waking", Waking())
        assert await anyio.to_thread.run_sync(announce)
        await bus.aclose()
    assert threads == [threading.get_ident()]


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
