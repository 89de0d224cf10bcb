"""The scheduler of a server: start the runs of firings, and postpone, recover and end firings.

Sources make the firings: the timetables of its schedules, and others. The scheduler decides in the state
database and executes nothing itself: queued firings go to a `FiringRunner`. What must hold when several
servers share a database is in the transactions of `firing_decision` and `recovery`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Literal

import anyio

from aetherflow.clock import Clock
from aetherflow.errors import AetherFlowError, StateError
from aetherflow.events.schedule_events import ScheduleEvent, ScheduleNotice
from aetherflow.schedule.item import Changes, Item, Schedule, changes
from aetherflow.scheduler.backfill_feed import BackfillFeed
from aetherflow.scheduler.boot_source import BootSource
from aetherflow.scheduler.clock_ahead import ItemAhead, treat_as_now
from aetherflow.scheduler.firing_decision import DecidedFirings, FiringDecider
from aetherflow.scheduler.firing_ends import Ended, FiringEnds
from aetherflow.scheduler.firing_events import (
    decided_again,
    decided_ahead,
    decided_events,
    recovered_events,
)
from aetherflow.scheduler.outlook import Outlook, read_outlook
from aetherflow.scheduler.pause_watch import check_pauses
from aetherflow.scheduler.ports import FiringEnd, FiringRunner, FiringSource
from aetherflow.scheduler.recovery import ITEM_REMOVED, Recovered, needs_recovery, recover
from aetherflow.scheduler.repeated_work import RepeatedWork
from aetherflow.scheduler.server_clocks import ServerClocks, StandsBy
from aetherflow.scheduler.standby import Standby
from aetherflow.scheduler.timetable_source import TimetableSource
from aetherflow.scheduler.unknown_items import UnknownItems
from aetherflow.scheduler.wall_clock_timer import WallClockTimer
from aetherflow.store.database import Database
from aetherflow.store.firings import (
    Firing,
    leave_firing,
    move_firing,
    postpone_firing,
    release_unstarted,
)
from aetherflow.store.schedule_items import register_items

CHECK_SECONDS = 1.0
"""How often a server looks for firings of dead servers, manual ones, and those that wait."""


class Scheduler:
    """Fires the items of schedules, as one of any number of servers on a database. It is a `FiringSink`.

    Attributes:
        server: the name of this server's lease.
        schedules: the current schedules by id.
        timetable: the source of the firings that are due.
        boots: the source of the firings of `@reboot` items.
        standby: whether the server decides.
    """

    def __init__(
        self,
        database: Database,
        server: str,
        clock: Clock,
        runs: FiringRunner,
        report: Callable[[ScheduleEvent], None],
        clocks: ServerClocks | None = None,
    ) -> None:
        self.server = server
        self.schedules: dict[str, Schedule] = {}
        decider = FiringDecider(server, clock.now, clock.new_id)
        self.timetable = TimetableSource(decider, self.schedules, clock)
        self.boots = BootSource(decider, self.schedules)
        self.standby = Standby(server, database, clocks)
        self._database = database
        self._clock = clock
        self._runs = runs
        self._report = report
        self._check_timer = WallClockTimer(clock)
        self._submitted: set[str] = set()
        self._recovered: set[str] = set()
        self._unregistered: dict[str, Schedule] = {}
        self._unknown_items = UnknownItems()
        self._works = RepeatedWork(clock, self._database_fails, self._database_works)
        self._ends = FiringEnds(database, server, clock, report, self._notice)
        self._backfills = BackfillFeed(database, self.standby, server, clock, report)

    async def put(self, schedule: Schedule) -> Changes:
        """Bring a schedule into force, in the place of the one of its id; return what has changed.

        On standby its items begin later: a clock that is off cannot say from when.

        Raises:
            StateError: the database could not be used; the scheduler continues with the old schedule.
        """
        old = self.schedules.get(schedule.id)
        try:
            await self._register(old, schedule)
        except StandsBy:
            if old is not None:
                self.timetable.due_queue.remove(old)
            self.schedules[schedule.id] = schedule
            self._unregistered[schedule.id] = schedule
        self._check_timer.move()
        return changes(old, schedule)

    async def _register(self, old: Schedule | None, schedule: Schedule) -> None:
        now = self._clock.now()
        beginnings = {item.id: (item.definition, item.beginning(now)) for item in schedule.items.values()}

        def register(raw: sqlite3.Connection) -> tuple[dict[str, datetime], dict[str, ItemAhead]]:
            decided = register_items(raw, schedule.id, beginnings)
            return decided, treat_as_now(raw, schedule.id, self._clock.now())

        decided, ahead = await self.standby.decide(register)
        self._report_ahead(schedule.id, ahead)
        self.schedules[schedule.id] = schedule
        self.timetable.put(old, schedule, decided | {name: one.since for name, one in ahead.items()})
        self._unregistered.pop(schedule.id, None)

    async def outlook(self, schedule: Schedule) -> Outlook:
        """Return what is stored about the items of a schedule.

        Raises:
            StateError: the database could not be used.
        """
        return await self._database.read(lambda raw: read_outlook(raw, schedule, self._clock.now()))

    def adopt(self, schedule: Schedule) -> None:
        """Know a schedule without firing its items."""
        self.schedules[schedule.id] = schedule

    async def run(self) -> None:
        """Fire what is due, and check what is open, until cancelled or stopped."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._works.repeat, self._check)
            tasks.start_soon(self.follow, self.timetable)
            tasks.start_soon(self.follow, self.boots)

    async def follow(self, source: FiringSource) -> None:
        """Fire what a source gives, until cancelled or stopped."""
        await self._works.repeat(partial(source.fire_next, self))

    async def _follow_clocks(self) -> None:
        """Report that the clock of this server is off, or agrees again; in between it decides nothing.

        Raises:
            StandsBy: it decides nothing now.
            StateError: the database could not be used.
        """
        match await self.standby.change():
            case "compares":
                message = f"this server {self.standby.why()} for some seconds; it decides nothing before"
                self._notice(message, level="info")
            case "stands_by":
                message = f"this server is on standby: {self.standby.why()}; "
                message += "it decides nothing until they agree, and its runs continue"
                self._notice(message, "AF217")
            case "decides_again":
                await self._move_back()
                self.standby.was_off = False
                self._notice("the clocks of the servers agree; this server decides again", level="info")
            case None:
                pass
        if why := self.standby.why():
            raise StandsBy(why)

    def stop(self) -> None:
        """Fire nothing more; started runs continue."""
        self._works.stop()

    def _database_fails(self, error: StateError) -> None:
        self._notice(f"{error.message}; the scheduler tries again every second", error.code)

    def _database_works(self) -> None:
        self._notice("the state database can be used again", level="info")

    async def fire(
        self, decide: Callable[[sqlite3.Connection], Sequence[DecidedFirings]]
    ) -> Sequence[DecidedFirings]:
        """Let `decide` insert firings in one transaction, report them, and submit those that may start.

        Raises:
            StateError: the database could not be used; nothing was decided, or a firing was not submitted,
                which a later check does.
            StandsBy: the clock of the server is off; nothing was decided.
        """
        decided = await self.standby.decide(decide)
        for scheduler in {one.item.scheduler for one in decided if one.ahead}:
            found = {
                one.item.id: one.ahead for one in decided if one.ahead and one.item.scheduler == scheduler
            }
            self._report_ahead(scheduler, found)
        for one in decided:
            for old in one.again:
                self._report(decided_again(old, self._clock.now()))
            for event in decided_events(one, self._clock.now()):
                self._report(event)
        for one in decided:
            for firing in one.firings:
                if firing.outcome == "QUEUED":
                    await self.submit(one.item, firing)
        return decided

    async def _check(self) -> None:
        await self._check_timer.wait_for(CHECK_SECONDS)
        await self.check()

    async def check(self) -> None:
        """Take over firings of dead servers, start those that waited, stop those that were cancelled.

        Raises:
            StateError: the database could not be used.
            StandsBy: the clock of the server is found to be off.
        """
        await self._ends.store_late()
        await self._follow_clocks()
        for schedule in list(self._unregistered.values()):
            await self._register(None, schedule)
        if self.timetable.clock_went_back():
            await self._move_back()
        self.timetable.note_clock()
        await check_pauses(
            self._database, self.standby, self.schedules, self.timetable, self._clock, self._report
        )
        for schedule in list(self.schedules.values()):
            await self._check_schedule(schedule)

    async def _move_back(self) -> None:
        """Let the items whose ticks were decided up to a time ahead of the clock be decided from now on."""
        for schedule in list(self.schedules.values()):
            ahead = await self.standby.decide(
                partial(treat_as_now, scheduler=schedule.id, now=self._clock.now())
            )
            self._report_ahead(schedule.id, ahead)
            self.timetable.move_back(schedule, ahead)

    def _report_ahead(self, scheduler: str, ahead: Mapping[str, ItemAhead]) -> None:
        if ahead:
            self._report(decided_ahead(scheduler, ahead, self._clock.now()))

    async def _check_schedule(self, schedule: Schedule) -> None:
        now = self._clock.now
        await self._backfills.check(schedule, self)

        def needs(raw: sqlite3.Connection) -> bool:
            left = self._unknown_items.left_to_others(raw, schedule, self.server, now())
            return needs_recovery(raw, schedule, self.server, now(), self._submitted, left)

        def work(raw: sqlite3.Connection) -> Recovered:
            left = self._unknown_items.left_to_others(raw, schedule, self.server, now())
            return recover(raw, schedule, self.server, now(), left)

        if not await self._database.read(needs):
            return
        recovered = await self.standby.decide(work)
        started = [firing.run_id or "" for firing in recovered.taken if firing.started_at is not None]
        self._recovered.update(started)
        for event in recovered_events(recovered, now()):
            self._report(event)
        for run_id, reason in recovered.cancelled:
            await self._runs.cancel(run_id, reason)
        for firing in recovered.queued:
            item = schedule.items.get(firing.item_id)
            if item is None:
                await self._end(firing, "SKIPPED", ITEM_REMOVED)
            else:
                await self.submit(item, firing)

    async def submit(self, item: Item, firing: Firing) -> None:
        """Submit a firing's run, once; if it cannot be taken now, the next check tries again.

        Raises:
            StateError: the database could not be used.
        """
        run_id = firing.run_id or ""
        if run_id in self._submitted:
            return
        self._submitted.add(run_id)
        is_recovery = run_id in self._recovered
        try:
            await self._runs.submit(item, firing, partial(self.on_end, firing), is_recovery=is_recovery)
        except AetherFlowError as error:
            self._submitted.discard(run_id)
            reason = error.message
            await self._database.transact(
                lambda raw: move_firing(raw, firing.firing_id, self.server, "QUEUED", reason)
            )

    async def on_end(self, firing: Firing, end: FiringEnd) -> None:
        """Note that the run of a firing is over, or could not start."""
        match end.outcome:
            case "POSTPONED":
                await self._postpone(firing, end.reason)
            case "TAKEN_OVER":
                self._forget(firing)
            case "LEFT":
                await self._database.transact(
                    lambda raw: leave_firing(raw, firing.firing_id, self.server, end.reason)
                )
                self._forget(firing)
            case "SUCCESS" | "FAILED" | "CANCELLED" | "SKIPPED":
                await self._end(firing, end.outcome, end.reason)

    async def _end(self, firing: Firing, outcome: Ended, reason: str) -> None:
        self._forget(firing)
        await self._ends.end(firing, outcome, reason)

    async def _postpone(self, firing: Firing, reason: str) -> None:
        """Let a firing wait whose run cannot start yet."""
        run_id = firing.run_id or ""
        has_started = run_id in self._recovered
        try:
            await self._database.transact(
                lambda raw: postpone_firing(
                    raw, firing.firing_id, self.server, reason, has_started=has_started
                )
            )
        finally:
            self._submitted.discard(run_id)

    async def release(self) -> None:
        """Leave the firings that have not started to other servers; call it after `stop`.

        Raises:
            StateError: the database could not be used.
        """
        await self._database.transact(lambda raw: release_unstarted(raw, self.server))

    def _forget(self, firing: Firing) -> None:
        self._submitted.discard(firing.run_id or "")
        self._recovered.discard(firing.run_id or "")
        self._check_timer.move()

    def _notice(
        self, message: str, code: str = "", level: Literal["info", "warning", "error"] = "error"
    ) -> None:
        name = next(iter(self.schedules), "")
        self._report(
            ScheduleNotice(at=self._clock.now(), scheduler=name, message=message, level=level, code=code)
        )
