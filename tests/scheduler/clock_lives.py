"""Generated lives of schedulers: an item and what happens to its servers and their clocks.

A life is drawn from a number. `live` plays it with the real scheduler on a real database in memory; time is
counted in seconds of true time, and each server has a clock of its own. What it returns is what happened:
the rows, and what was seen from outside. `clock_model` judges it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.ports import FiringEnd
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.scheduler.server_clocks import BEAT_SECONDS, COMPARING, FRESH_SECONDS, ServerClocks, StandsBy
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, begin_firing
from aetherflow.store.pauses import EVERY_ITEM, Pause, end_pause, put_pause, read_pauses
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.projection import timestamp
from aetherflow.store.served_files import forget_server
from aetherflow.store.servers import ServerRow, server_rows, store_server
from tests.scheduler.drawn_lives import CALENDARS, Event, Kind, Life
from tests.scheduler.scheduler_parts import MIDNIGHT, schedule
from tests.store.clock_double import FakeClock

LEASE_SECONDS = 30
BEAT = int(BEAT_SECONDS)
COMPARED_SECONDS = 16
"""Servers that compared their clocks for so long know all that they will."""
SETTLE_SECONDS = 60_000
"""Longer than all jumps of a life: what a clock that was ahead fired waits for its time."""
DEAD = ProcessIdentity(this_process().host, 2**22 + 1, "1")


class Other(NamedTuple):
    """Another live server at a look: since when nothing happened to it, its beginning, and its clock."""

    quiet_since: int
    began: int
    reading: int


class Look(NamedTuple):
    """A server looked what is due: when, what its clock said, and whether it decides or stands by."""

    number: int
    at: int
    server: int
    reading: int
    decides: bool = True
    began: int = 0
    quiet_since: int = 0
    others: tuple[Other, ...] = ()


class Start(NamedTuple):
    """A run was started or resumed by a server."""

    number: int
    at: int
    run_id: str
    server: int
    reading: int
    is_recovery: bool


class PauseChange(NamedTuple):
    """The pause of the item from a number of what happens on; None as end: until somebody resumes it.

    A pause that was `resumed` before its time ended then, but its reasons name no end.
    """

    number: int
    begin: int
    end: int | None
    resumed: bool = False


@dataclass
class Story:
    """What happened in a life. Each number counts what happened before; times of rows end in it."""

    life: Life
    rows: list[Any] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    gone: list[tuple[int, int]] = field(default_factory=list)
    pauses: list[PauseChange] = field(default_factory=list)


class _Clock(FakeClock):
    """The clock of a server: true time and how far it is ahead; its microseconds count what happened."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.ahead = 0

    def now(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self.world.at + self.ahead, microseconds=self.world.number)

    def monotonic(self) -> float:
        return float(self.world.at)

    def new_id(self) -> str:
        self.world.ids += 1
        return f"r{self.world.ids}"


class _Server:
    """A server: its scheduler, its lease, and the runs that it executes."""

    def __init__(self, world: World, place: int, ahead: int) -> None:
        self.world, self.place = world, place
        self.name = f"server:{len(world.servers)}"
        self.is_alive, self.is_suspended = True, False
        self.clock = _Clock(world)
        self.clock.ahead = ahead
        self.submitted: dict[str, tuple[Firing, Callable[[FiringEnd], Awaitable[None]], bool]] = {}
        self.running: dict[str, int] = {}
        self.clocks = ServerClocks(self.name, self.clock) if world.compares else None
        self.began = self.quiet_since = world.at
        database = cast("Database", world.database)
        self.scheduler = Scheduler(database, self.name, self.clock, self, lambda _event: None, self.clocks)

    @property
    def is_active(self) -> bool:
        """Whether it does anything."""
        return self.is_alive and not self.is_suspended

    async def submit(
        self,
        _item: Item,
        firing: Firing,
        on_end: Callable[[FiringEnd], Awaitable[None]],
        *,
        is_recovery: bool,
    ) -> None:
        """Take a run, to start it after the look."""
        self.submitted[firing.run_id or ""] = (firing, on_end, is_recovery)

    async def cancel(self, run_id: str, _reason: str) -> bool:
        """End a run before long."""
        if run_id not in self.submitted:
            return False
        self.world.cancelled.add(run_id)
        return True

    def hold_lease(self) -> None:
        """Take or renew the lease, as the heartbeat does."""
        now = self.clocks.now() if self.clocks else self.clock.now()
        if not leases.renew(self.world.raw, leases.Lease(self.name, 1, LEASE_SECONDS), now):
            self.world.raw.execute("DELETE FROM leases WHERE name = ?", (self.name,))
            leases.acquire(
                self.world.raw, self.name, this_process(), self.name, now=now, ttl_seconds=LEASE_SECONDS
            )

    def compare(self, *, at_once: bool) -> None:
        """Store what the clock shows every five seconds, and look at those of other servers."""
        if self.clocks is None:
            return
        age = self.world.at - self.began
        if age % BEAT == 0 or at_once:
            now = timestamp(self.clock.now())
            row = ServerRow(self.name, "host", "1", now, now, 1 + age // BEAT)
            store_server(self.world.raw, row)
        if age % BEAT in (0, BEAT - 1) or at_once:
            self.clocks.observe(server_rows(self.world.raw))

    async def end_runs(self) -> None:
        """End the runs whose time is over, that were cancelled, or that another server has."""
        for run_id, until in list(self.running.items()):
            is_cancelled = run_id in self.world.cancelled
            if not is_cancelled and until > self.world.at:
                continue
            del self.running[run_id]
            _, on_end, _ = self.submitted.pop(run_id)
            self.world.count()
            await on_end(FiringEnd("CANCELLED", "cancelled") if is_cancelled else FiringEnd("SUCCESS"))

    async def look(self) -> None:
        """Do what a server does every second."""
        self.world.count()
        reading = self.world.at + self.clock.ahead
        others = tuple(
            Other(one.quiet_since, one.began, self.world.at + one.clock.ahead)
            for one in self.world.servers
            if one is not self and one.is_active
        )
        self.world.story.looks.append(
            Look(
                *(self.world.number, self.world.at, self.place, reading),
                not self.scheduler.standby.why(),
                *(self.began, self.quiet_since, others),
            )
        )
        with suppress(StandsBy):
            await self.scheduler.timetable.fire_due(self.scheduler)
        with suppress(StandsBy):
            await self.scheduler.check()
        for run_id, (firing, on_end, is_recovery) in list(self.submitted.items()):
            if run_id in self.running:
                continue
            self.world.count()
            if begin_firing(self.world.raw, firing.firing_id, self.name, self.clock.now()):
                self.running[run_id] = self.world.at + self.world.duration()
                self.world.story.starts.append(
                    Start(self.world.number, self.world.at, run_id, self.place, reading, is_recovery)
                )
            else:
                del self.submitted[run_id]
                await on_end(FiringEnd("TAKEN_OVER"))


class _DirectDatabase:
    """A database in memory whose transactions happen at once, in the thread of the caller."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    async def transact(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do the work in one transaction."""
        self._raw.execute("BEGIN IMMEDIATE")
        try:
            result = work(self._raw)
        except BaseException:
            self._raw.execute("ROLLBACK")
            raise
        self._raw.execute("COMMIT")
        return result

    async def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do work that only reads."""
        return work(self._raw)


async def database_in_memory(folder: Path) -> sqlite3.Connection:
    """Return an empty state database in memory."""
    opened = await Database.open(folder / "empty.sqlite")
    await opened.aclose()
    raw = sqlite3.connect(":memory:", isolation_level=None)
    source = sqlite3.connect(folder / "empty.sqlite")
    source.backup(raw)
    source.close()
    return raw


def schedules(folder: Path, lives: Iterable[Life]) -> list[Schedule]:
    """Return the schedule of each life, with one item; all are read from one file."""
    lives = list(lives)
    read = schedule(folder, "\n".join(life.spec.line(f"i{life.number}") for life in lives), CALENDARS)
    return [msgspec.structs.replace(read, items={name: item}) for name, item in read.items.items()]


class World:
    """A life that is played."""

    def __init__(self, raw: sqlite3.Connection, life: Life, schedule: Schedule, *, compares: bool) -> None:
        self.raw, self.life, self.schedule, self.compares = raw, life, schedule, compares
        self.compared = 0
        self.database = _DirectDatabase(raw)
        self.story = Story(life)
        self.at = self.number = self.ids = 0
        self.servers: list[_Server] = []
        self.by_place: dict[int, _Server] = {}
        self.cancelled: set[str] = set()
        self.looks_to_come: list[int] = []
        self.is_settling = False

    def count(self) -> None:
        """Give what happens next a number of its own."""
        self.number += 1

    def duration(self) -> int:
        """Return how long the next run takes; at last they are short, so that all end."""
        return 1 if self.is_settling else self.life.durations[self.number % len(self.life.durations)]

    async def play(self) -> Story:
        """Play the life, then let all come to rest with clocks that are right."""
        events = list(self.life.events)
        while self.at < self.life.end:
            while events and events[0].at <= self.at:
                await self._happen(events.pop(0))
            is_busy = await self._step()
            self.at = min(
                self._next(is_busy=is_busy), events[0].at if events else self.life.end, self.life.end
            )
        await self._settle()
        rows = self.raw.execute(
            "SELECT scheduled_at, cause, decided_at, outcome, run_id, finished_at, reason, ticks, due_at "
            "FROM firings ORDER BY scheduled_at"
        )
        self.story.rows = rows.fetchall()
        return self.story

    async def _settle(self) -> None:
        self.is_settling = True
        await self._happen(Event(self.at, "resume", 0))
        for one in self.by_place.values():
            await self._happen(Event(self.at, "wake", one.place))
            one.clock.ahead = 0
            one.quiet_since = self.at
        if not any(one.is_active for one in self.servers):
            await self._happen(Event(self.at, "start", 0))
        for one in self.servers:
            for run_id in one.running:
                one.running[run_id] = self.at
        until = self.at + SETTLE_SECONDS
        self.looks_to_come.append(self.at + LEASE_SECONDS + 1)
        last = self.life.end + self.life.spec.jitter
        while self.at < until and (self.at <= last + 2 * LEASE_SECONDS or self._is_open()):
            is_busy = await self._step()
            self.at = min(self._next(is_busy=is_busy), self.at + LEASE_SECONDS)

    def _is_open(self) -> bool:
        return bool(self.raw.execute("SELECT 1 FROM firings WHERE finished_at IS NULL").fetchone())

    def _next(self, *, is_busy: bool) -> int:
        """Return the next second in which anything may happen."""
        compares = any(one.is_active and one.scheduler.standby.why() == COMPARING for one in self.servers)
        if is_busy or compares:
            return self.at + 1
        times = [at for at in self.looks_to_come if at > self.at]
        for one in self.servers:
            if not one.is_active:
                continue
            times += one.running.values()
            due = one.scheduler.timetable.due_queue.next_due()
            if due is not None:
                seconds = (due - MIDNIGHT) // timedelta(seconds=1)
                times.append(seconds - one.clock.ahead)
        return max(self.at + 1, min(times, default=self.life.end + SETTLE_SECONDS))

    async def _step(self) -> bool:
        """Let every server look; return whether anything has changed."""
        active = [one for one in self.servers if one.is_active]
        self._compare(active)
        for one in active:
            one.hold_lease()
        before = self.raw.total_changes
        for one in active:
            await one.end_runs()
            await one.look()
        return self.raw.total_changes > before

    def _compare(self, active: list[_Server]) -> None:
        """Let the servers compare their clocks up to now, as they do all the time: the last seconds count."""
        now = self.at
        (known,) = self.raw.execute("SELECT count(*) FROM servers").fetchone()
        if known == 1:
            for one in active:
                one.compare(at_once=True)
            self.compared = now
            return
        for second in range(max(self.compared, now - COMPARED_SECONDS) + 1, now + 1):
            self.at = second
            for one in active:
                one.compare(at_once=False)
        self.at = self.compared = now

    async def _happen(self, event: Event) -> None:
        one = self.by_place.get(event.server)
        if event.kind in ("pause", "resume"):
            self._pause(event)
        elif event.kind == "start":
            if one is None or not one.is_alive:
                await self._start(event.server, event.seconds)
        elif one is None or not one.is_alive:
            return
        elif event.kind == "jump":
            await self._step()  # servers read their clocks every second
            one.clock.ahead += event.seconds
            one.quiet_since = self.at
        elif event.kind == "suspend":
            one.is_suspended = True
            self._is_gone(one)
        elif event.kind == "wake":
            await self._wake(one)
        else:
            await self._end(one, event.kind)

    def _pause(self, event: Event) -> None:
        """Pause the item, or end its pause, as the commands do."""
        self.count()
        now = MIDNIGHT + timedelta(seconds=self.at)
        if event.kind == "pause":
            until = self.at + event.seconds if event.seconds else None
            end = None if until is None else timestamp(MIDNIGHT + timedelta(seconds=until))
            name = EVERY_ITEM if self.life.number % 2 else next(iter(self.schedule.items))
            row = Pause(self.schedule.id, name, timestamp(now), end, "migration", "anna")
            stored = put_pause(self.raw, row, now)
            begin = (stored.begin - MIDNIGHT) // timedelta(seconds=1)
            self.story.pauses.append(PauseChange(self.number, begin, until))
            self.looks_to_come += [] if until is None else [until, until + 1, until + 2]
        else:
            for one in read_pauses(self.raw, self.schedule.id):
                if one.holds(now):
                    end_pause(self.raw, one, "bob", now)
                    begin = (one.begin - MIDNIGHT) // timedelta(seconds=1)
                    self.story.pauses.append(PauseChange(self.number, begin, self.at, resumed=True))
        self.looks_to_come += [self.at, self.at + 1, self.at + 2]

    async def _start(self, place: int, ahead: int) -> None:
        one = _Server(self, place, ahead)
        self.servers.append(one)
        self.by_place[place] = one
        self.count()
        one.hold_lease()
        one.compare(at_once=True)
        await one.scheduler.put(self.schedule)

    async def _wake(self, one: _Server) -> None:
        """Let a suspended server continue; it notices which of its runs another one has."""
        if not one.is_suspended:
            return
        one.is_suspended = False
        one.quiet_since = self.at
        one.compare(at_once=True)
        one.hold_lease()
        for run_id in list(one.running):
            firing, on_end, _ = one.submitted[run_id]
            row = self.raw.execute("SELECT server FROM firings WHERE firing_id = ?", (firing.firing_id,))
            if row.fetchone() != (one.name,):
                del one.running[run_id], one.submitted[run_id]
                await on_end(FiringEnd("TAKEN_OVER"))

    async def _end(self, one: _Server, kind: Kind) -> None:
        if one.is_suspended and kind == "stop":
            return
        one.is_alive = False
        self._is_gone(one)
        if kind == "kill":
            owner = msgspec.json.encode(DEAD).decode()
            self.raw.execute("UPDATE leases SET owner = ? WHERE name = ?", (owner, one.name))
        elif kind == "stop":
            one.scheduler.stop()
            for run_id in list(one.running):
                one.running[run_id] = self.at
            await one.end_runs()
            await one.scheduler.release()
            forget_server(self.raw, one.name)

    def _is_gone(self, one: _Server) -> None:
        self.count()
        self.story.gone.append((self.number, one.place))
        later = (0, int(FRESH_SECONDS), int(FRESH_SECONDS) + 1, LEASE_SECONDS, LEASE_SECONDS + 9)
        self.looks_to_come += [self.at + 1 + seconds for seconds in later]


async def live(raw: sqlite3.Connection, life: Life, schedule: Schedule, *, compares: bool = False) -> Story:
    """Play a life on an empty database, and empty it again; servers may compare their clocks."""
    story = await World(raw, life, schedule, compares=compares).play()
    for table in ("firings", "schedule_items", "leases", "schedulers", "pauses", "servers"):
        raw.execute(f"DELETE FROM {table}")
    return story
