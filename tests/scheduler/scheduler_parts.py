"""A scheduler with a real database, a clock that the test moves, and runs that the test ends."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from aetherflow.errors import AetherFlowError
from aetherflow.events.schedule_events import ScheduleEvent
from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.firing_decision import DecidedFirings
from aetherflow.scheduler.ports import FiringEnd, FiringSink, FiringSource
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.scheduler.server_clocks import ServerClocks, StandsBy
from aetherflow.server.schedule_files import load_schedule
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, begin_firing
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.projection import timestamp
from aetherflow.store.servers import ServerRow, server_rows, store_server
from tests.store.clock_double import FakeClock
from tests.store.real_parts import query

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
"""Where the fake clock begins."""


class CountingClock(FakeClock):
    """A fake clock whose ids differ, and whose wall time can jump without the time that passes."""

    def __init__(self, name: str = "r") -> None:
        super().__init__()
        self._name = name
        self._ids = 0

    def new_id(self) -> str:
        """Return the next id."""
        self._ids += 1
        return f"{self._name}{self._ids}"

    def jump(self, seconds: float) -> None:
        """Put the wall clock forward or back."""
        self._beginning += timedelta(seconds=seconds)


class Runs:
    """Keeps what was submitted; the test begins and ends it."""

    def __init__(self) -> None:
        self.submitted: dict[str, tuple[Item, Firing, bool]] = {}
        self.on_end: dict[str, Callable[[FiringEnd], Awaitable[None]]] = {}
        self.cancelled: list[tuple[str, str]] = []
        self.refuse: AetherFlowError | None = None

    async def submit(
        self,
        item: Item,
        firing: Firing,
        on_end: Callable[[FiringEnd], Awaitable[None]],
        *,
        is_recovery: bool,
    ) -> None:
        """Take a firing."""
        if self.refuse is not None:
            raise self.refuse
        assert firing.run_id is not None
        assert firing.run_id not in self.submitted, "a firing is submitted once"
        self.submitted[firing.run_id] = (item, firing, is_recovery)
        self.on_end[firing.run_id] = on_end

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Note the request."""
        self.cancelled.append((run_id, reason))
        return True


class Server:
    """One scheduler, as a server has it."""

    def __init__(self, database: Database, name: str, clock: FakeClock) -> None:
        self.name = f"server:{name}"
        self.database = database
        self.clock = clock
        self.runs = Runs()
        self.reported: list[ScheduleEvent] = []
        self.clocks, self.beats = ServerClocks(self.name, clock), 0
        self.scheduler = Scheduler(database, self.name, clock, self.runs, self.reported.append, self.clocks)

    async def beat(self) -> None:
        """Store what the clock shows, and look at those of other servers, as each second."""
        self.beats += 1
        now = timestamp(self.clock.now())
        standby, ahead = self.clocks.standby(), self.clocks.ahead_seconds()
        row = ServerRow(self.name, "host", "1", now, now, self.beats, standby, ahead)

        def store(raw: sqlite3.Connection) -> dict[str, ServerRow]:
            store_server(raw, row)
            return server_rows(raw)

        self.clocks.observe(await self.database.transact(store))

    async def live(self, owner: ProcessIdentity | None = None) -> None:
        """Take the lease of the server, or renew it."""
        await self.database.transact(
            lambda raw: leases.acquire(
                raw, self.name, owner or this_process(), self.name, now=self.clocks.now(), ttl_seconds=30
            )
        )

    async def begin(self, run_id: str) -> bool:
        """Begin a run that was submitted, as its claim would."""
        firing = self.runs.submitted[run_id][1]
        return await self.database.transact(
            lambda raw: begin_firing(raw, firing.firing_id, self.name, self.clock.now())
        )

    async def end(self, run_id: str, outcome: Any = "SUCCESS", reason: str = "") -> None:
        """End a run that was submitted."""
        self.runs.submitted.pop(run_id)
        await self.runs.on_end.pop(run_id)(FiringEnd(outcome, reason))

    async def tick(self, seconds: float = 0) -> None:
        """Let time pass, and the scheduler do what is due."""
        self.clock.advance(seconds)
        with suppress(StandsBy):  # the scheduler tries again until the clocks agree
            await self.fire_due()
        with suppress(StandsBy):
            await self.scheduler.check()

    async def fire_due(self) -> None:
        """Let the scheduler fire what is due."""
        await self.scheduler.timetable.fire_due(self.scheduler)

    def events(self) -> list[str]:
        """Return the names of the events since the last time."""
        names = [str(event.__struct_config__.tag) for event in self.reported]
        self.reported.clear()
        return names


@asynccontextmanager
async def server(path: Path, name: str = "a", clock: FakeClock | None = None) -> AsyncIterator[Server]:
    """Have a live server on a database for a block."""
    database = await Database.open(path, "normal")
    try:
        one = Server(database, name, clock or CountingClock())
        await one.live()
        yield one
    finally:
        await database.aclose()


def schedule(folder: Path, items: str, head: str = "") -> Schedule:
    """Write and load a scheduler file of the id `night`; `items` are lines of mappings without the flow."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.yaml").write_text("version: 1\n")
    lines = "".join(f"- {{{line.strip()}, flow_yaml: flow.yaml}}\n" for line in items.strip().splitlines())
    path = folder / "scheduler.yaml"
    path.write_text(f"version: 1\nid: night\n{head}\nitems:\n{lines}")
    return load_schedule(path)


def rows(path: Path, columns: str = "item_id, scheduled_at, outcome") -> list[Any]:
    """Return the firings in the order of their times, with short times."""
    found = query(path, f"SELECT {columns} FROM firings ORDER BY scheduled_at, firing_id")
    return [tuple(_short(value) for value in row) for row in found]


def _short(value: Any) -> Any:
    is_time = isinstance(value, str) and len(value) == 27 and value.endswith("Z")
    return value[11:19] if is_time else value


async def fire_once(source: FiringSource, sink: FiringSink) -> None:
    """Let a source fire, and cancel it when its firings are stored: it would wait for ever."""
    with anyio.CancelScope() as scope:

        class Once:
            async def fire(
                self, decide: Callable[[sqlite3.Connection], Sequence[DecidedFirings]]
            ) -> Sequence[DecidedFirings]:
                decided = await sink.fire(decide)
                scope.cancel()
                return decided

        await source.fire_next(Once())
