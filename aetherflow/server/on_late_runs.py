"""Start the runs of `on_late` steps and messages: each is a small run beside those that it is about."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import anyio

from aetherflow.clock import Clock
from aetherflow.errors import AetherFlowError, FiringTaken, StateError
from aetherflow.events.schedule_events import ScheduleEvent, ScheduleNotice
from aetherflow.runs.ports import ClaimPrecondition
from aetherflow.runs.run_pool import RunPool
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus
from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.late_watch import AlertRun, LateWatch
from aetherflow.scheduler.standby import Standby
from aetherflow.server.firing_runs import as_typed, first_error
from aetherflow.spec.on_late import END_KINDS, job_of_alert, reports
from aetherflow.store.alerts import Alert, forget_runs, is_unstarted, unstarted_runs
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, firing_at

if TYPE_CHECKING:
    from aetherflow.server.open_server import Server

SEARCH_SECONDS = 60.0
"""How often a server looks for runs of alerts whose server died before it started them."""

SEARCH_BACK = timedelta(days=1)


async def watch_late(server: Server) -> None:
    """Report late ticks and run their steps, until cancelled."""
    watch, runs = _parts(server)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch.watch)
        tasks.start_soon(runs.search)


async def report_end(server: Server, firing: Firing) -> None:
    """Start the run of the messages about the end of a firing, if some are due and none has started it.

    Raises:
        StateError: the database could not be used; a server that looks soon finds the same.
        StandsBy: the server stands by.
    """
    watch, _ = _parts(server)
    await watch.report_end(firing)


def _parts(server: Server) -> tuple[LateWatch, OnLateRuns]:
    schedules, clock = server.scheduler.schedules, server.clock
    standby, report = server.scheduler.standby, server.bus.announce
    runs = OnLateRuns(server.database, schedules, standby, server.run_pool, clock, report)
    return LateWatch(server.database, schedules, standby, clock, report, runs.start), runs


class OnLateRuns:
    """Starts the runs of alerts in a run pool."""

    def __init__(
        self,
        database: Database,
        schedules: Mapping[str, Schedule],
        standby: Standby,
        run_pool: RunPool,
        clock: Clock,
        report: Callable[[ScheduleEvent], None],
    ) -> None:
        self._database = database
        self._schedules = schedules
        self._standby = standby
        self._run_pool = run_pool
        self._clock = clock
        self._report = report
        self._submitted: set[str] = set()

    async def start(self, event: AlertRun) -> None:
        """Start the run of an alert; if it cannot be taken now, `search` of this or another server does."""
        schedule = self._schedules[event.scheduler]
        item = schedule.items.get(event.item_id)
        if item is None or not reports(item.spec, event.alert) or event.on_late_run in self._submitted:
            return
        ticket = _ticket(schedule, item, event, self._database)
        check = partial(_check, run_id=ticket.run_id)
        self._submitted.add(ticket.run_id)
        try:
            await self._run_pool.submit(ticket, self, ClaimPrecondition(self._database, check))
        except AetherFlowError:  # the pool is full, or ends
            self._submitted.discard(ticket.run_id)

    async def search(self) -> None:
        """Start the runs that other servers did not come to start, again and again."""
        while True:
            with suppress(StateError):  # the scheduler reports it
                await self.start_left()
            await self._clock.sleep(SEARCH_SECONDS)

    async def start_left(self) -> None:
        """Start the runs of alerts that have not been started for a while, unless the server stands by.

        Raises:
            StateError: the database could not be used.
        """
        if self._standby.why():
            return  # by its clock, how long ago an alert was is not known
        for schedule in list(self._schedules.values()):
            if any(item.spec.on_late or item.spec.notify for item in schedule.items.values()):
                find = partial(_left, scheduler=schedule.id, now=self._clock.now())
                for event in await self._database.read(find):
                    await self.start(event)

    async def on_change(
        self,
        ticket: RunTicket,
        status: TicketStatus,  # noqa: ARG002 - the report has the outcome
        report: RunReport | Refusal | None,
    ) -> None:
        """Report that a run could not start; how one ends is reported by its own events."""
        if report is None:
            return
        self._submitted.discard(ticket.run_id)
        if not isinstance(report, Refusal) or report.kind in ("taken_over", "server_stopping", "run_in_use"):
            return
        self._report(refused(ticket.item_id, report, self._clock.now()))
        # If the database cannot be used either, the next search finds the run again.
        await self._database.transact(partial(forget_runs, run_ids=[ticket.run_id]))


def refused(item_id: str, refusal: Refusal, now: datetime) -> ScheduleNotice:
    """Return that the run of an alert could not start."""
    reason = first_error(refusal) if refusal.diagnostics else refusal.reason
    return ScheduleNotice(
        at=now,
        scheduler="",
        item_id=item_id,
        message=f"the steps of on_late and notify could not run: {reason}",
        level="error",
        code="AF567",
    )


def _ticket(schedule: Schedule, item: Item, event: AlertRun, database: Database) -> RunTicket:
    return RunTicket(
        run_id=event.on_late_run,
        flow_file=as_typed(schedule.file),
        flow_text=schedule.source,
        flow_job=job_of_alert(item.id, event.alert),
        params={
            "alert": event.alert,
            "message": event.reason,
            "item": item.id,
            "scheduled_at": utc_text(event.scheduled_at),
            "late_run": event.run_id or "none",
        },
        state=database.path,
        timezone=item.zone,
        item_id=item.id,
        label=f"{item.id} {event.alert if event.alert in END_KINDS else 'on_late'}",
        is_alert=True,
    )


def _check(raw: sqlite3.Connection, run_id: str) -> None:
    """Refuse the run of an alert that another server has started.

    Raises:
        FiringTaken: it has.
    """
    if not is_unstarted(raw, run_id):
        raise FiringTaken(f"another server has started run {run_id}")


def _left(raw: sqlite3.Connection, scheduler: str, now: datetime) -> list[AlertRun]:
    """Return the alerts whose run was to start a while ago and has not."""
    until = now - timedelta(seconds=SEARCH_SECONDS)
    return [_event(raw, one) for one in unstarted_runs(raw, scheduler, now - SEARCH_BACK, until)]


def _event(raw: sqlite3.Connection, alert: Alert) -> AlertRun:
    scheduled = datetime.fromisoformat(alert.scheduled_at)
    firing = firing_at(raw, alert.scheduler, alert.item_id, scheduled)
    return AlertRun(
        at=datetime.fromisoformat(alert.alerted_at),
        scheduler=alert.scheduler,
        run_id=(firing.run_id if firing else None) or "",
        item_id=alert.item_id,
        scheduled_at=scheduled,
        alert=alert.kind,
        reason=alert.message,
        on_late_run=alert.run_id or "",
    )
