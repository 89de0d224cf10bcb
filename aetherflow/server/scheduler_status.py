"""Compute the status of schedulers: live servers, and last, next and open firings of each item."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import due_at, next_tick
from aetherflow.schedule.window import leave_no_time, window_end
from aetherflow.schedule.zone import instant, seconds
from aetherflow.scheduler.window_ticks import is_held_by_window
from aetherflow.server.backfill_status import BackfillStatus, active_backfills
from aetherflow.server.in_force import AskedFile, Served, in_force, served_files
from aetherflow.server.server_status import ServerStatus
from aetherflow.store.alerts import Alert, newest_alerts
from aetherflow.store.firing_history import last_problem, last_success
from aetherflow.store.firings import BY_HAND, Firing, firing_at, last_firings, open_firings
from aetherflow.store.pauses import Pause, pause_in_force, read_pauses
from aetherflow.store.schedule_items import known_items
from aetherflow.store.stored_times import seconds_between
from aetherflow.working_directory import absolute

USUAL_SECONDS = 5
"""How long a server may take to decide about a tick before `scheduler status` says that it is due."""


class PauseStatus(msgspec.Struct, frozen=True):
    """The pause that an item is in; times are RFC 3339 in UTC.

    Attributes:
        until: None: until somebody resumes it.
        whole_file: all items of the file are paused.
    """

    since: str
    until: str | None
    by: str
    reason: str
    whole_file: bool


class WindowStatus(msgspec.Struct, frozen=True):
    """The window that an item is in, in which it starts nothing; `until`, its end, is RFC 3339 in UTC.

    It is None if the windows of the item leave no time.
    """

    window: str
    until: str | None


class ItemStatus(msgspec.Struct, frozen=True):
    """One item; times are RFC 3339 in UTC.

    Attributes:
        enabled: None if neither the file in force nor the one on the disk can be read.
        due_since: the first tick that is due for some seconds, and about which no server has decided.
        lag_seconds: how long after its time the last firing started, or was decided if it did not start;
            None for one by hand.
        zone: the IANA name of its time zone; None if the file is wrong.
        at_boot: it fires when the machine has booted, and has no times.
        problem: what is wrong with its flow, manifest or params, so that it cannot run.
        running_since: when the oldest of its runs that execute started.
        last_success: the scheduled time of the newest firing that succeeded.
        last_problem: that of the newest one that did not; with its outcome and reason.
        alerts: those about its last firing, or about one that is open.
    """

    item: str
    enabled: bool | None
    last: str | None
    outcome: str | None
    reason: str
    run_id: str | None
    lag_seconds: float | None
    next: str | None
    due_since: str | None
    running: int
    queued: int
    waiting: int
    zone: str | None = None
    at_boot: bool = False
    problem: str = ""
    running_since: str | None = None
    last_success: str | None = None
    last_problem: str | None = None
    problem_outcome: str | None = None
    problem_reason: str = ""
    paused: PauseStatus | None = None
    window: WindowStatus | None = None
    alerts: list[Alert] = []


class SchedulerStatus(msgspec.Struct, frozen=True):
    """A scheduler file with its servers and items; `problem` is the error of the file on the disk, if any."""

    scheduler: str
    file: str
    servers: list[ServerStatus]
    problem: str
    items: list[ItemStatus]
    backfills: list[BackfillStatus] = []


def status_of(raw: sqlite3.Connection, asked: AskedFile | None, now: datetime) -> list[SchedulerStatus]:
    """Return the status of a scheduler file; without one, of all that servers serve.

    Raises:
        AetherFlowError: the file is wrong, and no server has it in force.
    """
    served = served_files(raw, now)
    statuses = []
    for scheduler, found in in_force(served, asked).items():
        known = served.get(scheduler) or Served(str(absolute(asked.file)) if asked else "")
        problem = found.problem_text or known.problem
        items = _items(raw, scheduler, found.schedule, now)
        wrong = known.item_problems if known.live else _missing(found.schedule)
        items = [replace(one, problem=wrong[one.item]) if one.item in wrong else one for one in items]
        active = active_backfills(raw, scheduler, found.schedule)
        statuses.append(SchedulerStatus(scheduler, known.file, known.servers, problem, items, active))
    return statuses


def _missing(schedule: Schedule | None) -> dict[str, str]:
    """Return what is wrong with the items of a file that no server has checked, as far as it is known."""
    items = schedule.items.values() if schedule is not None else ()
    return {item.id: f"there is no file {item.missing[0]}" for item in items if item.missing}


def _items(
    raw: sqlite3.Connection, scheduler: str, schedule: Schedule | None, now: datetime
) -> list[ItemStatus]:
    last = last_firings(raw, scheduler)
    known = known_items(raw, scheduler)
    pauses = read_pauses(raw, scheduler)
    names = list(schedule.items) if schedule else sorted({*known, *last})
    alerts = newest_alerts(raw, scheduler, names)
    opened_of: dict[str, list[Firing]] = {}
    for firing in open_firings(raw, scheduler):
        opened_of.setdefault(firing.item_id, []).append(firing)
    found = [
        _item(
            raw,
            name,
            schedule.items.get(name) if schedule else None,
            last.get(name),
            opened_of.get(name, []),
            known,
            pauses,
            now,
        )
        for name in names
    ]
    oldest = {name: of_item[0].scheduled_at for name, of_item in opened_of.items()}
    return [
        _with_past(raw, scheduler, one, alerts.get(one.item, ()), oldest.get(one.item, one.last))
        if one.last
        else one
        for one in found
    ]


def _with_past(
    raw: sqlite3.Connection, scheduler: str, one: ItemStatus, alerts: Sequence[Alert], since: str
) -> ItemStatus:
    """Return the status of an item that has fired, with its last success, last problem and late ticks."""
    success, problem = last_success(raw, scheduler, one.item), last_problem(raw, scheduler, one.item)
    return replace(
        one,
        last_success=success.scheduled_at if success else None,
        last_problem=problem.scheduled_at if problem else None,
        problem_outcome=problem.outcome if problem else None,
        problem_reason=problem.reason if problem else "",
        alerts=[alert for alert in alerts if alert.scheduled_at >= since],
    )


def _next(
    raw: sqlite3.Connection, item: Item, last: Firing | None, paused: Pause | None, now: datetime
) -> datetime | None:
    """Return the next tick that its pause does not skip and that no clock that was ahead has run already."""
    after = now
    if paused is not None and item.policy.catch_up == "none":
        if paused.end is None:
            return None
        after = paused.end - timedelta(seconds=1)
    tick = next_tick(item.ticks_that_run, after)
    while tick is not None and last is not None and tick <= last.scheduled:
        found = firing_at(raw, item.scheduler, item.id, tick)
        if found is None or found.run_id is None:
            break
        tick = next_tick(item.ticks_that_run, tick)
    return tick


def _item(
    raw: sqlite3.Connection,
    name: str,
    item: Item | None,
    last: Firing | None,
    opened: list[Firing],
    known: Mapping[str, tuple[str, datetime]],
    pauses: list[Pause],
    now: datetime,
) -> ItemStatus:
    mine = [firing.outcome for firing in opened]
    starts = [one.started_at for one in opened if one.outcome == "RUNNING" and one.started_at]
    paused = pause_in_force(pauses, name, now)
    is_enabled = None if item is None else item.spec.enabled
    following = _next(raw, item, last, paused, now) if item is not None and is_enabled else None
    return ItemStatus(
        item=name,
        enabled=is_enabled,
        last=last.scheduled_at if last else None,
        outcome=last.outcome if last else None,
        reason=last.reason if last else "",
        run_id=last.run_id if last else None,
        lag_seconds=_lag(last) if last and last.cause not in BY_HAND else None,
        next=utc_text(following) if following else None,
        due_since=_due_since(item, known, now) if item is not None and is_enabled and not paused else None,
        window=_window(item, now),
        at_boot=item is not None and item.table.trigger.at_boot,
        running=mine.count("RUNNING"),
        queued=mine.count("QUEUED"),
        waiting=mine.count("WAITING"),
        zone=None if item is None else item.zone,
        running_since=min(starts, default=None),
        paused=_paused(paused),
    )


def _paused(pause: Pause | None) -> PauseStatus | None:
    if pause is None:
        return None
    return PauseStatus(
        pause.paused_at, pause.until, pause.paused_by, pause.reason, whole_file=not pause.item_id
    )


def _window(item: Item | None, now: datetime) -> WindowStatus | None:
    window = item.window_at(now) if item is not None and item.spec.enabled else None
    if item is None or window is None:
        return None
    if leave_no_time(item.windows, item.table.zone):
        return WindowStatus(str(window), None)
    end = instant(window_end(item.windows, item.table.zone, seconds(now)))
    return WindowStatus(str(window), utc_text(end))


def _due_since(item: Item, known: Mapping[str, tuple[str, datetime]], now: datetime) -> str | None:
    definition, decided = known.get(item.id, ("", now))
    if definition != item.definition or is_held_by_window(item, now):
        return None  # it starts afresh when a server reads the file, or when its window is over
    tick = next_tick(item.table, decided)
    if tick is None or due_at(item.table, tick) >= now - timedelta(seconds=USUAL_SECONDS):
        return None
    return utc_text(tick)


def _lag(firing: Firing) -> float:
    return round(seconds_between(firing.due_at, firing.started_at or firing.decided_at), 3)
