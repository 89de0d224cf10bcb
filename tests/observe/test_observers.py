"""What every observer does, whatever it shows: order, closing, errors, and a reader that stalls."""

from __future__ import annotations

import gc
import io
import json
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import anyio
import anyio.to_thread
import pytest

from aetherflow.clock import SystemClock
from aetherflow.events.run_events import Event, Notice, RunStarted
from aetherflow.execution import bus as bus_module
from aetherflow.execution.bus import Bus
from aetherflow.observe.event_stream import EventStreamObserver
from aetherflow.observe.installed_observer import InstalledObserver
from aetherflow.observe.live_tree import LiveTreeObserver
from aetherflow.observe.log import LogObserver
from aetherflow.observe.metrics import MetricsObserver
from aetherflow.observe.sink import Sink
from aetherflow.ports import Observer
from aetherflow.sdk.observer import ObservedRun
from tests.observe.demo_run import AT


class Target:
    """Where an observer writes to: as a stream of text or bytes, as a terminal, and as a function."""

    encoding = "utf-8"
    closed = False
    name = "target"

    def __init__(self, *, is_terminal: bool = False) -> None:
        self.is_terminal = is_terminal
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.text = ""

    def write(self, written: str | bytes) -> int:
        """Take what is written; block while the gate is closed."""
        self.gate.wait(20)
        if self.error is not None:
            raise self.error
        self.text += written if isinstance(written, str) else written.decode()
        return len(written)

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.is_terminal

    def fileno(self) -> int:
        """Have no number."""
        raise io.UnsupportedOperation

    def take(self, record: dict[str, Any]) -> None:
        """Be the METRICS of a user."""
        self.write(json.dumps(record) + "\n")

    @property
    def messages(self) -> list[int]:
        """The numbers of the notices that arrived, in order."""
        return [int(number) for number in re.findall(r"notice (\d+);", self.text)]


class RecordingObserver:
    """The smallest observer: it needs nothing but a sink."""

    def __init__(self, target: Target, sink: Sink) -> None:
        self._target = target
        self._sink = sink

    async def __call__(self, events: Sequence[Event]) -> None:
        """Write the messages of a batch."""
        await self._sink.call(self._target.write, "".join(e.message for e in events if isinstance(e, Notice)))

    async def aclose(self) -> None:
        """Do nothing."""


class Passing:
    """An observer of an installed package."""

    def __init__(self, target: Target, run: ObservedRun) -> None:
        self._target = target
        assert run is RUN

    def take(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write the records."""
        for record in records:
            self._target.take(dict(record))

    def close(self, deadline_seconds: float) -> None:
        """Have nothing left."""


RUN = ObservedRun(flow_id="f", run_id="r", env={})


def _log(target: Target, form: str) -> Callable[[], Observer]:
    return partial(LogObserver, cast("Any", target), sink=Sink(), format=cast("Any", form), level="info")


KINDS: dict[str, Callable[[Target], Callable[[], Observer]]] = {
    "text log": lambda target: _log(target, "text"),
    "json log": lambda target: _log(target, "json"),
    "event stream": lambda target: EventStreamObserver(cast("Any", target)).join,
    "metrics": lambda target: partial(MetricsObserver, target.take),
    "installed": lambda target: partial(InstalledObserver, partial(Passing, target), RUN),
    "progress lines": lambda target: partial(LiveTreeObserver, cast("Any", target)),
    "progress tree": lambda target: partial(LiveTreeObserver, cast("Any", target)),
    "recorder": lambda target: partial(RecordingObserver, target, Sink()),
}


class Memory:
    """A durable side that stores nothing."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Accept."""


def notices(first: int, last: int, run_id: str = "r") -> list[Event]:
    """Return warnings with these numbers: every observer shows them."""
    return [
        Notice(at=AT, flow_id="f", run_id=run_id, level="warning", message=f"notice {number};")
        for number in range(first, last)
    ]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each observer once."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(bus_module, "REST_SECONDS", 0)
    return cast("str", request.param)


@pytest.fixture
def target(kind: str) -> Iterator[Target]:
    """What the observer writes to; it blocks nobody after the test."""
    target = Target(is_terminal=kind == "progress tree")
    yield target
    target.gate.set()


@pytest.mark.asyncio
async def test_every_event_is_shown_once_and_in_order(kind: str, target: Target) -> None:
    bus = Bus(Memory(), SystemClock())
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, kind, KINDS[kind](target)(), when_full="wait", capacity=7)
        await bus.publish([RunStarted(at=AT, flow_id="f", run_id="r", flow_file="f.yaml", owner="me")])
        for number in range(0, 60, 3):
            await bus.publish(notices(number, number + 3))
        await bus.aclose()
    assert target.messages == list(range(60))
    assert (bus.detached, bus.dropped) == ({}, {})


@pytest.mark.asyncio
async def test_what_it_writes_to_stays_open_for_the_next_run(kind: str, target: Target) -> None:
    make = KINDS[kind](target)
    for number in range(3):
        bus = Bus(Memory(), SystemClock())
        async with anyio.create_task_group() as tasks:
            bus.subscribe(tasks, kind, make())
            await bus.publish(notices(number, number + 1))
            await bus.aclose()
        assert bus.detached == {}
    assert target.messages == [0, 1, 2]


@pytest.mark.asyncio
async def test_an_error_of_its_reader_detaches_it_and_the_run_continues(kind: str, target: Target) -> None:
    target.error = OSError(28, "No space left on device")
    bus, other = Bus(Memory(), SystemClock()), Target()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, kind, KINDS[kind](target)(), when_full="wait", capacity=1)
        bus.subscribe(tasks, "other", RecordingObserver(other, Sink()))
        await bus.publish(notices(0, 20))
        await bus.aclose()
    assert "No space left on device" in bus.detached[kind]
    assert target.messages == []
    assert other.messages == list(range(20))


@pytest.mark.asyncio
async def test_a_reader_that_stalls_holds_neither_the_run_nor_more_than_one_thread(
    kind: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.2)
    monkeypatch.setattr("aetherflow.observe.live_tree.CLOSE_SECONDS", 0.05)
    make, runs = KINDS[kind](target), 1 if kind.startswith("progress") else 60
    target.gate.clear()
    await anyio.to_thread.run_sync(time.monotonic)
    before = threading.active_count()
    buses = [Bus(Memory(), SystemClock()) for _ in range(runs)]

    async def run(number: int, bus: Bus) -> None:
        async with anyio.create_task_group() as tasks:
            bus.subscribe(tasks, kind, make(), when_full="wait")
            try:
                await bus.publish(notices(number, number + 1))
                await anyio.wait_all_tasks_blocked()
            finally:  # only the bus ends its observers: without this, a test that fails would hang
                with anyio.CancelScope(shield=True):
                    await bus.aclose()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as running:
            for number, bus in enumerate(buses):
                running.start_soon(run, number, bus)

    assert threading.active_count() <= before + 2
    reason = "it did not write its last events before the run ended"
    assert [bus.detached for bus in buses] == [{kind: reason}] * runs
    target.gate.set()
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 60.0)
    after = Bus(Memory(), SystemClock())
    async with anyio.create_task_group() as tasks:
        after.subscribe(tasks, kind, make())
        await after.publish(notices(runs, runs + 1))
        await after.aclose()
    assert after.detached == {}
    # The batch that was being written is shown in full, those that waited for their turn are the losses.
    assert target.messages == [0, runs] or runs == 1


@pytest.mark.asyncio
async def test_a_run_that_ends_without_its_last_event_leaves_nothing_in_memory(
    kind: str, target: Target
) -> None:
    """A lost lease or a full disk ends a run so; a server logs for years."""
    make = KINDS[kind](target)
    bus, observer = Bus(Memory(), SystemClock()), make()
    async with anyio.create_task_group() as tasks:
        bus.subscribe(tasks, kind, observer)
        await bus.publish([RunStarted(at=AT, flow_id="f", run_id="r", flow_file="f.yaml", owner="me")])
        await bus.aclose()
    alive = weakref.ref(observer)
    is_shared = make() is observer
    del bus, observer
    gc.collect()
    is_only_one = kind == "progress tree"  # a process has one live tree; rich remembers the last console
    if is_shared or is_only_one:
        return
    with anyio.fail_after(30):  # a worker thread forgets its last call a moment after the loop has its result
        while alive() is not None:
            await anyio.sleep(0.01)
            gc.collect()
