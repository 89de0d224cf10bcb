"""Set the gauges of a server when they are asked for: what runs, waits and is next, and its database.

What others may keep busy (the database, the disk) has a time limit: without it the other metrics are served.
"""

from __future__ import annotations

import platform
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import anyio
import msgspec

from aetherflow._version import __version__
from aetherflow.errors import StateError
from aetherflow.events.schedule_events import LateKind
from aetherflow.execution.bus import lost_events
from aetherflow.observe import metric_definitions as m
from aetherflow.observe.metric_fold import MetricsFold
from aetherflow.observe.metric_values import MOST_VALUES, MetricValues
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import next_tick
from aetherflow.spec.on_late import reports
from aetherflow.store.metric_rows import FlowEnd, flow_ends, item_successes
from aetherflow.store.pauses import Pause, pause_in_force, read_pauses
from aetherflow.store.pools import PoolRow, list_pools
from aetherflow.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from aetherflow.server.open_server import Server

READ_SECONDS = 3.0
"""How long the database and the disk may take."""

ITEMS_AT_ONCE = 100
"""Of how many items the last success is read in one turn of the database."""

_threads = WorkerThreads("metrics of a server", 1)


class _Stored(msgspec.Struct, frozen=True):
    """What the database knows now."""

    pools: list[PoolRow]
    pauses: dict[str, list[Pause]]


class ServerGauges:
    """Sets the gauges of a server in the values that events are folded into."""

    def __init__(self, server: Server, fold: MetricsFold, on_bug: Callable[[Exception], object]) -> None:
        """Make them; `on_bug` is called with an exception that is a bug in here."""
        self._on_bug = on_bug
        self._server = server
        self._fold = fold
        self._has_flow_ends = False
        self._known_items: set[tuple[str, str]] = set()
        self._watched: set[tuple[str, str]] = set()
        self._next: dict[tuple[str, str], tuple[Item, datetime | None]] = {}
        self._wanted, self._done = anyio.Event(), anyio.Event()
        self._is_reading = False

    async def keep(self) -> None:
        """Read the database and the disk whenever `refresh` asks for it, until cancelled.

        A task of its own, as nobody can be kept from waiting for a read that has begun: of a disk that hangs.
        """
        while True:
            await self._wanted.wait()
            self._wanted, self._is_reading = anyio.Event(), True
            try:
                await self._set_stored(self._fold.values)
                await self._set_sizes(self._fold.values)
            except Exception as error:  # noqa: BLE001 - a bug here must not end the server; it is reported
                _clear_stored(self._fold.values)
                self._on_bug(error)
            self._is_reading = False
            self._done.set()
            self._done = anyio.Event()

    async def refresh(self) -> None:
        """Set all gauges; without those of the database if it does not answer in time."""
        values, server = self._fold.values, self._server
        schedules = list(server.scheduler.schedules.values())
        self._set_server(values)
        for name, lost in lost_events.items():
            values.add(m.OBSERVER_LOST, name, number=lost - (values.number(m.OBSERVER_LOST, name) or 0))
        self._set_schedules(values, schedules)
        self._begin_counters(values, self._items())
        await self._set_next(values, self._items())
        if not self._is_reading:
            self._wanted.set()
        with anyio.move_on_after(READ_SECONDS) as limit:
            await self._done.wait()
        if limit.cancelled_caught:
            _clear_stored(values)

    async def _set_sizes(self, values: MetricValues) -> None:
        path = self._server.database.path
        sizes = await _threads.run(_sizes, path, abandon_on_cancel=True)
        for metric in (m.DB_BYTES, m.DB_WAL_BYTES, m.DB_FREE_BYTES):
            values.clear(metric)
        for metric, number in sizes.items():
            values.set(metric, number=number)

    def _items(self) -> list[Item]:
        """Return the first items of all files, as many as have metrics of their own."""
        schedules = list(self._server.scheduler.schedules.values())
        return [item for schedule in schedules for item in schedule.items.values()][:MOST_VALUES]

    def _set_server(self, values: MetricValues) -> None:
        server, pool = self._server, self._server.run_pool
        is_stopping = pool.is_draining
        values.set(m.BUILD_INFO, __version__, platform.python_version(), number=1)
        values.set(m.DECIDES, number=float(not is_stopping and not server.scheduler.standby.why()))
        values.set(m.STOPPING, number=float(is_stopping))
        values.set(m.RUNS_RUNNING, number=pool.running_count)
        values.set(m.RUNS_QUEUED, number=pool.queued_count)
        values.set(m.RUN_SLOTS, number=server.settings.max_parallel_runs)

    def _set_schedules(self, values: MetricValues, schedules: Sequence[Schedule]) -> None:
        for schedule in schedules:
            values.set(m.ITEMS, schedule.id, number=len(schedule.items))
            broken = self._server.lease.item_problems(schedule.id)
            values.set(m.ITEMS_BROKEN, schedule.id, number=len(broken))

    def _begin_counters(self, values: MetricValues, items: Sequence[Item]) -> None:
        """Let the counters of alerts be 0 of items that may be late: an increase is seen only from 0."""
        for item in items:
            key, may_be_late = _key(item), item.deadline is not None or reports(item.spec, "missed")
            if not may_be_late or key in self._watched:
                continue
            self._watched.add(key)
            for kind in get_args(LateKind):
                values.add(m.FIRINGS_LATE, *key, kind, number=0)

    async def _set_next(self, values: MetricValues, items: Sequence[Item]) -> None:
        """Compute the next ticks in a thread, of items whose last one has passed or that are new."""
        now = self._server.clock.now()
        known = {key: self._next[key] for item in items if (key := _key(item)) in self._next}
        stale = [item for item in items if _is_stale(known.get(_key(item)), item, now)]
        if stale:
            known |= await _threads.run(_next_ticks, stale, now, abandon_on_cancel=True)
        self._next = known
        values.clear(m.ITEM_NEXT)
        for (scheduler, item_id), (_, at) in known.items():
            if at is not None:
                values.set(m.ITEM_NEXT, scheduler, item_id, number=at.timestamp())

    async def _set_stored(self, values: MetricValues) -> None:
        """Set the gauges that the database knows, and whether it could be read."""
        database, now = self._server.database, self._server.clock.now()
        items, ids = self._items(), list(self._server.scheduler.schedules)

        def read(raw: sqlite3.Connection) -> _Stored:
            return _Stored(list_pools(raw, now), {name: read_pauses(raw, name) for name in ids})

        try:
            if not self._has_flow_ends:
                self._know_flows(values, await database.read(flow_ends))
                self._has_flow_ends = True
            await self._know_items(items)
            stored = await database.read(read)
        except StateError:
            _clear_stored(values)
            return  # the scheduler, which needs the database too, reports it
        values.set(m.DB_UP, number=1)
        _set_pools(values, stored.pools, now)
        values.clear(m.ITEM_PAUSED)
        for item in items:
            paused = pause_in_force(stored.pauses[item.scheduler], item.id, now) is not None
            values.set(m.ITEM_PAUSED, item.scheduler, item.id, number=float(paused))

    @staticmethod
    def _know_flows(values: MetricValues, ends: Sequence[FlowEnd]) -> None:
        for end in ends:
            values.run_ended(end.flow_id, end.at.timestamp(), succeeded=end.succeeded)

    async def _know_items(self, items: Sequence[Item]) -> None:
        """Read the last successes of items that are new here: those before this server started."""
        new = [key for item in items if (key := _key(item)) not in self._known_items]
        for begin in range(0, len(new), ITEMS_AT_ONCE):
            some = new[begin : begin + ITEMS_AT_ONCE]
            found = await self._server.database.read(partial(item_successes, items=some))
            for (scheduler, item_id), at in found.items():
                self._fold.item_succeeded(scheduler, item_id, at.timestamp())
            self._known_items.update(some)


def _clear_stored(values: MetricValues) -> None:
    values.set(m.DB_UP, number=0)
    for metric in (*_OF_POOLS, m.ITEM_PAUSED):
        values.clear(metric)


_OF_POOLS = (m.POOL_SLOTS, m.POOL_USED, m.POOL_WAITING, m.POOL_WAIT)


def _set_pools(values: MetricValues, pools: Sequence[PoolRow], now: datetime) -> None:
    for metric in _OF_POOLS:
        values.clear(metric)
    for pool in pools:
        asked = [datetime.fromisoformat(claim.asked_at) for claim in pool.waiting]
        longest = max([(now - at).total_seconds() for at in asked], default=0.0)
        values.set(m.POOL_SLOTS, pool.name, number=pool.slots)
        values.set(m.POOL_USED, pool.name, number=pool.used)
        values.set(m.POOL_WAITING, pool.name, number=len(pool.waiting))
        values.set(m.POOL_WAIT, pool.name, number=max(longest, 0.0))


def _key(item: Item) -> tuple[str, str]:
    return item.scheduler, item.id


def _is_stale(known: tuple[Item, datetime | None] | None, item: Item, now: datetime) -> bool:
    if known is None or known[0] is not item:
        return True
    return known[1] is not None and known[1] <= now


def _next_ticks(items: Sequence[Item], now: datetime) -> dict[tuple[str, str], tuple[Item, datetime | None]]:
    return {
        _key(item): (item, next_tick(item.ticks_that_run, now) if item.spec.enabled else None)
        for item in items
    }


def _sizes(database: Path) -> Mapping[m.Metric, float]:
    """Return the sizes of the files of a database, and what is free beside them, if known. Blocking."""
    log = database.with_name(f"{database.name}-wal")
    found: dict[m.Metric, float] = {}
    for metric, path in ((m.DB_BYTES, database), (m.DB_WAL_BYTES, log)):
        try:
            found[metric] = path.stat().st_size
        except FileNotFoundError:
            found[metric] = 0
        except OSError:
            continue  # the metric is missing
    with suppress(OSError):  # as above
        found[m.DB_FREE_BYTES] = shutil.disk_usage(database.parent).free
    return found
