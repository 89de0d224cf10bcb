"""Notice pauses that begin and end: report each once for all servers, and let items tick again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime

from aetherflow.clock import Clock
from aetherflow.events.schedule_events import ScheduleEvent, ScheduleNotice
from aetherflow.schedule.item import Item
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.scheduler.standby import Standby
from aetherflow.scheduler.timetable_source import TimetableSource
from aetherflow.scheduler.window_ticks import is_held_by_window
from aetherflow.store.database import Database
from aetherflow.store.pauses import Pause, advance, pause_in_force, read_pauses, to_report


async def check_pauses(
    database: Database,
    standby: Standby,
    schedules: Iterable[str],
    timetable: TimetableSource,
    clock: Clock,
    report: Callable[[ScheduleEvent], None],
) -> None:
    """Report what is new about the pauses of some schedules; let items tick whose pause or window is over.

    Raises:
        StateError: the database could not be used.
        StandsBy: the clock of the server is off; nothing was stored or reported.
    """
    names = list(schedules)

    def read(raw: sqlite3.Connection) -> list[Pause]:
        return [one for name in names for one in read_pauses(raw, name)]

    def work(raw: sqlite3.Connection) -> list[Pause]:
        found = to_report(read(raw), clock.now())
        for one in found:
            advance(raw, one, clock.now())
        return found

    pauses = await database.read(read)
    now = clock.now()
    timetable.let_tick(_may_tick(pauses, now))
    if to_report(pauses, now):
        for one in await standby.decide(work):
            event = _notice(one, clock.now())
            if event is not None:
                report(event)


def _may_tick(pauses: Iterable[Pause], now: datetime) -> Callable[[Item], bool]:
    """Return whether neither a pause nor a window holds an item; ten thousand may wait for one window."""
    by_schedule: dict[str, list[Pause]] = {}
    for one in pauses:
        by_schedule.setdefault(one.scheduler, []).append(one)
    held: dict[tuple[int, int], bool] = {}

    def may_tick(item: Item) -> bool:
        mine = by_schedule.get(item.scheduler)
        if mine and pause_in_force(mine, item.id, now) is not None:
            return False
        if not item.windows or not item.has_own_times:
            return True
        alike = id(item.windows), id(item.table.zone)
        if alike not in held:
            held[alike] = is_held_by_window(item, now)
        return not held[alike]

    return may_tick


def _notice(pause: Pause, now: datetime) -> ScheduleNotice | None:
    """Return what people should know of a pause; None if it is deleted, or ended before it was reported."""
    what = "" if pause.item_id else "all items: "
    if pause.holds(now):
        message = f"{what}{reason_of(pause)}; what runs, is queued or waits continues, but backfills wait"
    elif pause.stage == "announced":
        message = f"{what}resumed by {pause.resumed_by}" if pause.resumed_by else f"{what}the pause is over"
        message += f" ({reason_of(pause)})"
    else:
        return None
    return ScheduleNotice(
        at=now, scheduler=pause.scheduler, item_id=pause.item_id, message=message, level="info"
    )
