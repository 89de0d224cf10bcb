"""Every source of firings behaves alike, whichever sink takes them; a new kind is one more service."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import pytest

from aetherflow.errors import StateError
from aetherflow.schedule.item import Item
from aetherflow.scheduler.firing_decision import DecidedFirings, FiringDecider
from aetherflow.scheduler.manual_source import ManualSource, StoredFirings
from aetherflow.scheduler.ports import FiringSink, FiringSource
from aetherflow.scheduler.scheduler import CHECK_SECONDS
from aetherflow.scheduler.timetable_source import TimetableSource
from aetherflow.store.firings import NewFiring, insert_firing
from tests.polling import eventually
from tests.scheduler.scheduler_parts import Server, rows, schedule, server

pytestmark = pytest.mark.asyncio


class Events:
    """A source of another kind: fires an item for each event that came in."""

    def __init__(self, decider: FiringDecider, item: Item) -> None:
        self._decider = decider
        self._item = item
        self.waiting = 1

    async def fire_next(self, sink: FiringSink) -> None:
        """Fire for the next event; it counts as handled once its firing is stored."""
        while not self.waiting:  # noqa: ASYNC110 - a test's event source may poll
            await anyio.sleep(0.001)
        await sink.fire(self._decide)
        self.waiting -= 1

    def _decide(self, raw: sqlite3.Connection) -> list[DecidedFirings]:
        now, one = self._decider.now(), self._item
        new = NewFiring(
            one.scheduler,
            one.id,
            now,
            "manual",
            "QUEUED",
            self._decider.new_id(),
            server=self._decider.server,
        )
        firing = insert_firing(raw, new, now)
        assert firing is not None
        return [DecidedFirings(one, now, [firing])]


class FailsOnce:
    """A sink whose database fails at the first firing."""

    def __init__(self, sink: FiringSink) -> None:
        self._sink = sink
        self.has_failed = False

    async def fire(
        self, decide: Callable[[sqlite3.Connection], Sequence[DecidedFirings]]
    ) -> Sequence[DecidedFirings]:
        """Fail, then pass it on."""
        if not self.has_failed:
            self.has_failed = True
            raise StateError("the disk is full")
        return await self._sink.fire(decide)


async def timetable(one: Server, folder: Path) -> TimetableSource:
    """A timetable of which one tick is due."""
    file = schedule(folder, "id: a, cron: '* * * * *'")
    await one.scheduler.put(file)
    one.clock.advance(60)
    return one.scheduler.timetable


async def by_hand(one: Server, folder: Path) -> ManualSource:
    """A request to fire an item."""
    file = schedule(folder, "id: a, cron: '0 4 * * *'")
    await one.scheduler.put(file)
    return ManualSource(decider_of(one), file.items["a"], may_wait=True)


async def events(one: Server, folder: Path) -> Events:
    """An event for an item."""
    file = schedule(folder, "id: a, cron: '0 4 * * *'")
    await one.scheduler.put(file)
    return Events(decider_of(one), file.items["a"])


def decider_of(one: Server) -> FiringDecider:
    return FiringDecider(one.name, one.clock.now, one.clock.new_id)


SOURCES = pytest.mark.parametrize("make", [timetable, by_hand, events])


@SOURCES
async def test_a_firing_is_stored_reported_and_submitted_once(
    tmp_path: Path, make: Callable[..., object]
) -> None:
    state = tmp_path / "state.sqlite"
    async with server(state) as one:
        source: FiringSource = await make(one, tmp_path)  # type: ignore[misc]  # each returns a source
        await source.fire_next(one.scheduler)
        await one.scheduler.check()  # what is submitted already is not submitted again
        assert rows(state, "item_id, outcome, server") == [("a", "QUEUED", one.name)]
        assert list(one.runs.submitted) == ["r1"]
        assert "firing_scheduled" in one.events()
        await one.begin("r1")
        await one.end("r1")
        assert rows(state, "outcome") == [("SUCCESS",)]


@SOURCES
async def test_a_sink_without_a_scheduler_only_stores(tmp_path: Path, make: Callable[..., object]) -> None:
    state = tmp_path / "state.sqlite"
    async with server(state) as one:
        source: FiringSource = await make(one, tmp_path)  # type: ignore[misc]  # each returns a source
        await source.fire_next(StoredFirings(one.database))
        assert rows(state, "outcome") == [("QUEUED",)]
        assert one.runs.submitted == {}
        await one.scheduler.check()
        assert list(one.runs.submitted) == ["r1"]


@SOURCES
async def test_what_the_database_does_not_take_comes_again_and_once(
    tmp_path: Path, make: Callable[..., object]
) -> None:
    state = tmp_path / "state.sqlite"
    async with server(state) as one:
        source: FiringSource = await make(one, tmp_path)  # type: ignore[misc]  # each returns a source
        sink = FailsOnce(one.scheduler)
        with pytest.raises(StateError):
            await source.fire_next(sink)
        assert rows(state, "outcome") == []
        await source.fire_next(sink)
        assert rows(state, "outcome") == [("QUEUED",)]


async def test_a_source_of_events_is_one_more_service_until_the_scheduler_stops(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    async with server(state) as one:
        source = await events(one, tmp_path)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as services:
                services.start_soon(one.scheduler.follow, source)
                assert await eventually(lambda: bool(one.runs.submitted))
                source.waiting += 1
                assert await eventually(lambda: len(one.runs.submitted) >= 2)
                one.scheduler.stop()  # ends the service: the group is left
        assert [outcome for (outcome,) in rows(state, "outcome")] == ["QUEUED", "QUEUED"]


async def test_only_an_error_of_the_database_is_tried_again(tmp_path: Path) -> None:
    class Broken:
        async def fire_next(self, sink: object) -> None:
            raise TypeError(f"a bug before {type(sink).__name__}")

    async with server(tmp_path / "state.sqlite") as one:
        with anyio.fail_after(30), pytest.raises(TypeError, match="a bug before Scheduler"):
            await one.scheduler.follow(Broken())


async def test_a_scheduler_that_runs_finds_what_another_process_has_fired(tmp_path: Path) -> None:
    async with server(tmp_path / "state.sqlite") as one:
        source = await by_hand(one, tmp_path)
        async with anyio.create_task_group() as services:
            services.start_soon(one.scheduler.run)
            await one.clock.sleeping(2)  # until the next check, and the next tick
            await source.fire_next(StoredFirings(one.database))
            one.clock.advance(CHECK_SECONDS)
            assert await eventually(lambda: list(one.runs.submitted) == ["r1"])
            one.scheduler.stop()


async def test_a_firing_by_hand_that_may_not_wait_is_skipped(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    async with server(state) as one:
        source = await by_hand(one, tmp_path)
        await source.fire_next(one.scheduler)
        file = schedule(tmp_path, "id: a, cron: '0 4 * * *', overlap: queue")
        again = ManualSource(decider_of(one), file.items["a"], may_wait=False)
        firing = await again.fire_next(StoredFirings(one.database))
        assert firing.outcome == "SKIPPED"
        assert [outcome for (outcome,) in rows(state, "outcome")] == ["QUEUED", "SKIPPED"]
