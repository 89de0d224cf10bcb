"""The scheduler: an asynchronous task that fires items when they are due, and looks after their firings.

It decides in the state database and starts nothing itself: firings that are queued go to `Runs`. Everything
that must hold with several servers on one database is in the transactions of `deciding` and `tending`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Literal, Protocol

import anyio

from aetherflow.clock import Clock
from aetherflow.errors import AetherFlowError, StateError
from aetherflow.events.schedule_events import ScheduleEvent, ScheduleNotice
from aetherflow.schedule.item import Changes, Item, Schedule, changes
from aetherflow.scheduler.due_queue import DueQueue
from aetherflow.scheduler.firing_decision import CLOCK_BACK_SECONDS, DecidedFirings, FiringDecider
from aetherflow.scheduler.firing_events import clock_went_back, decided_event, ended_event, taken_event
from aetherflow.scheduler.recovery import GONE, Recovered, needs_recovery, recover
from aetherflow.scheduler.unknown_items import UnknownItems
from aetherflow.scheduler.wall_clock_timer import WallClockTimer
from aetherflow.store.database import Database
from aetherflow.store.firings import (
    Firing,
    close_firing,
    find_firing,
    move_firing,
    put_off,
    register_items,
    release_unbegun,
)

ITEMS_PER_TRANSACTION = 200
"""How many due items one transaction decides about: some milliseconds for which others may wait."""

LOOK_SECONDS = 1.0
"""How often a server looks for firings of dead servers, by hand, and for those that wait."""

AGAIN_SECONDS = 1.0
"""How long the scheduler waits after the database failed, before it tries again."""

Ended = Literal["SUCCESS", "FAILED", "CANCELLED"]


class Runs(Protocol):
    """What executes the runs of firings."""

    async def submit(self, item: Item, firing: Firing, *, is_recovery: bool) -> None:
        """Take a firing's run; it tells `Scheduler.ended` when it is over.

        Raises:
            AetherFlowError: it cannot be taken now.
        """
        ...

    async def cancel(self, run_id: str, reason: str) -> bool:
        """End a run; False if it is not here."""
        ...


class Scheduler:
    """Fires the items of scheduler files, as one of any number of servers on a database."""

    def __init__(
        self,
        database: Database,
        server: str,
        clock: Clock,
        runs: Runs,
        tell: Callable[[ScheduleEvent], None],
    ) -> None:
        self.server = server
        self._database = database
        self._clock = clock
        self._runs = runs
        self._tell = tell
        self._decider = FiringDecider(server, clock.now, clock.new_id)
        self.agenda = DueQueue()
        self._alarm = WallClockTimer(clock)
        self._look = WallClockTimer(clock)
        self._submitted: set[str] = set()
        self._recovered: set[str] = set()
        self._strangers = UnknownItems()
        self._failing: set[Callable[[], object]] = set()
        self._scope = anyio.CancelScope()
        self._seen: datetime | None = None
        self._unstored: list[tuple[Firing, Ended | Literal["SKIPPED"], str]] = []
        self.schedules: dict[str, Schedule] = {}

    async def put(self, schedule: Schedule) -> Changes:
        """Bring a schedule into force, in the place of the one of its id; return what has changed.

        Raises:
            StateError: the database could not be used; the old one stays in force.
        """
        old = self.schedules.get(schedule.id)
        now = self._clock.now()
        beginnings = {item.id: (item.definition, item.beginning(now)) for item in schedule.items.values()}
        decided = await self._database.transact(lambda raw: register_items(raw, schedule.id, beginnings))
        if old is not None:
            self.agenda.remove(old)
        self.schedules[schedule.id] = schedule
        for item in schedule.enabled:
            self.agenda.put(item, decided[item.id])
        self._alarm.move()
        self._look.move()
        return changes(old, schedule)

    def adopt(self, schedule: Schedule) -> None:
        """Know a schedule without firing its items."""
        self.schedules[schedule.id] = schedule

    async def run(self) -> None:
        """Fire until cancelled or stopped."""
        with self._scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._repeat, self._look_after)
                tasks.start_soon(self._repeat, self._fire)

    def stop(self) -> None:
        """Fire nothing more; what runs goes on."""
        self._scope.cancel()

    async def _repeat(self, work: Callable[[], object]) -> None:
        """Do the work again and again; a database that fails is told once, and tried again."""
        while True:
            try:
                await work()  # type: ignore[misc]  # a coroutine function
                if work in self._failing:
                    self._failing.discard(work)
                    if not self._failing:
                        self._notice("the state database can be used again", level="info")
            except StateError as error:
                if (
                    not self._failing
                ):  # one may still read while the other cannot write: told once all the same
                    self._notice(f"{error.message}; the scheduler tries again every second", error.code)
                self._failing.add(work)
                await self._clock.sleep(AGAIN_SECONDS)

    async def _fire(self) -> None:
        await self._alarm.wait(self.agenda.next_due())
        await self.fire_due()

    async def fire_due(self) -> None:
        """Decide about what is due now, and submit what may start.

        Raises:
            StateError: the database could not be used; what was due still is.
        """
        while due := self.agenda.pop_due(self._clock.now(), ITEMS_PER_TRANSACTION):
            due.sort(key=lambda item: item.scheduler)
            for _, group in groupby(due, key=lambda item: item.scheduler):
                items = list(group)
                try:
                    decided = await self._database.transact(partial(self._decider.decide, items=items))
                except StateError:
                    await self._put_back(due)
                    raise
                await self._take_note(decided)

    async def _put_back(self, items: Iterable[Item]) -> None:
        """Let items be due as they were: nothing was decided about them."""
        for item in items:
            schedule = self.schedules.get(item.scheduler)
            if schedule is not None and schedule.items.get(item.id) is item:
                self.agenda.put_due(item, self._clock.now())

    async def _take_note(self, decided: list[DecidedFirings]) -> None:
        queued: list[tuple[Item, Firing]] = []
        for one in decided:
            schedule = self.schedules.get(one.item.scheduler)
            if schedule is not None and schedule.items.get(one.item.id) is one.item:
                self.agenda.put(one.item, one.decided)
            if one.clock_behind:
                self._tell(clock_went_back(one, self._clock.now()))
            for firing in one.firings:
                self._tell(decided_event(firing, self._clock.now()))
                if firing.outcome == "QUEUED":
                    queued.append((one.item, firing))
        for item, firing in queued:
            await self.submit(item, firing)

    async def _look_after(self) -> None:
        await self._look.wait_for(LOOK_SECONDS)
        await self.look_after()

    async def look_after(self) -> None:
        """Take over what nobody looks after, let what waits go on, end what is not wanted any more.

        Raises:
            StateError: the database could not be used.
        """
        self._heed_clock()
        while self._unstored:
            await self._store_end(*self._unstored[0])
            del self._unstored[0]
        for schedule in list(self.schedules.values()):
            await self._look_after_schedule(schedule)

    def _heed_clock(self) -> None:
        """Look at every item again when the clock was put back: its next tick is before what was due."""
        now, seen = self._clock.now(), self._seen
        self._seen = now
        if seen is None or now >= seen - timedelta(seconds=CLOCK_BACK_SECONDS):
            return
        for schedule in self.schedules.values():
            for item in schedule.enabled:
                self.agenda.put_due(item, now)
        self._alarm.move()

    async def _look_after_schedule(self, schedule: Schedule) -> None:
        now = self._clock.now

        def needs(raw: sqlite3.Connection) -> bool:
            left = self._strangers.left_to_others(raw, schedule, self.server, now())
            return needs_recovery(raw, schedule, self.server, now(), self._submitted, left)

        def look(raw: sqlite3.Connection) -> Recovered:
            left = self._strangers.left_to_others(raw, schedule, self.server, now())
            return recover(raw, schedule, self.server, now(), left)

        if not await self._database.read(needs):
            return
        tended = await self._database.transact(look)
        for firing in tended.taken:
            if firing.started_at is not None:
                self._recovered.add(firing.run_id or "")
            self._tell(taken_event(firing, now()))
        for firing in tended.ended:
            self._tell(decided_event(firing, now()))
        for run_id, reason in tended.unwanted:
            await self._runs.cancel(run_id, reason)
        for firing in tended.queued:
            item = schedule.items.get(firing.item_id)
            if item is None:
                await self.ended(firing, "SKIPPED", GONE)
            else:
                await self.submit(item, firing)

    async def submit(self, item: Item, firing: Firing) -> None:
        """Hand a firing over, once; what cannot be taken now is tried again at the next look."""
        run_id = firing.run_id or ""
        if run_id in self._submitted:
            return
        self._submitted.add(run_id)
        try:
            await self._runs.submit(item, firing, is_recovery=run_id in self._recovered)
        except AetherFlowError as error:
            self._submitted.discard(run_id)
            reason = error.message
            await self._database.transact(
                lambda raw: move_firing(raw, firing.firing_id, self.server, "QUEUED", reason)
            )

    async def ended(self, firing: Firing, outcome: Ended | Literal["SKIPPED"], reason: str) -> None:
        """Take note that the run of a firing is over, or could not begin; another server may have it now.

        What the database does not take is kept, and stored at one of the next looks.
        """
        self._forget(firing)
        try:
            await self._store_end(firing, outcome, reason)
        except StateError as error:
            self._unstored.append((firing, outcome, reason))
            self._notice(f"the end of run {firing.run_id} is not stored yet: {error.message}", error.code)

    async def _store_end(self, firing: Firing, outcome: Ended | Literal["SKIPPED"], reason: str) -> None:
        """Close a firing and tell how it ended, unless another server has it."""
        now = self._clock.now()

        def close(raw: sqlite3.Connection) -> Firing | None:
            close_firing(raw, firing.firing_id, self.server, outcome, reason, now)
            return find_firing(raw, firing.firing_id)

        stored = await self._database.transact(close)
        if stored is not None and stored.server == self.server:
            self._tell(ended_event(stored, now))
        elif stored is not None:
            why = f": {reason}" if reason else ""
            self._notice(
                f"run {firing.run_id} of item {firing.item_id} ended here {outcome}{why}; what "
                "counts is what another server says, which has taken it over",
                level="warning",
            )

    async def not_now(self, firing: Firing, reason: str) -> None:
        """Let a firing wait whose run cannot begin yet."""
        run_id = firing.run_id or ""
        has_begun = run_id in self._recovered
        try:
            await self._database.transact(
                lambda raw: put_off(raw, firing.firing_id, self.server, reason, has_begun=has_begun)
            )
        finally:
            self._submitted.discard(run_id)

    def given_up(self, firing: Firing) -> None:
        """Take note that another server has a firing that was ours."""
        self._forget(firing)

    async def release(self) -> None:
        """Leave what has not begun to whoever comes next; call it when nothing is started any more."""
        await self._database.transact(lambda raw: release_unbegun(raw, self.server))

    def _forget(self, firing: Firing) -> None:
        self._submitted.discard(firing.run_id or "")
        self._recovered.discard(firing.run_id or "")
        self._look.move()

    def _notice(
        self, message: str, code: str = "", level: Literal["info", "warning", "error"] = "error"
    ) -> None:
        name = next(iter(self.schedules), "")
        self._tell(
            ScheduleNotice(at=self._clock.now(), scheduler=name, message=message, level=level, code=code)
        )


def lag(firing: Firing, at: datetime) -> float:
    """Return how many seconds after its time a firing is."""
    return max((at - datetime.fromisoformat(firing.due_at)).total_seconds(), 0.0)
