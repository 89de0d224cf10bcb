"""Find ticks that cannot run since an item that they follow has no run in the period that counts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache

from msgspec.structs import replace

from aetherflow.admin.stopped_ticks import last_tick_that_runs, why_stopped
from aetherflow.schedule.calendar import local_date, why_closed
from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import latest_ticks
from aetherflow.schedule.zone import instant, seconds
from aetherflow.store.pauses import Pause

WhyHeld = Callable[[Item, datetime], str]
"""From an item and one of its ticks to why it cannot run; empty if nothing that is known now prevents it."""

_MOST_DAYS = 4096


def held_ticks(schedule: Schedule, pauses: Sequence[Pause] = ()) -> WhyHeld:
    """Return a function that says why a tick of an item of this file cannot run.

    It looks through any number of steps: an item that follows one that is held is held too.
    """

    @lru_cache(maxsize=_MOST_DAYS)
    def of_period(name: str, begin: int, end: int, when: str) -> str:
        """Return why an item has no run from one instant to another, in seconds since 1970."""
        item = schedule.items.get(name)
        if item is None or not item.spec.enabled:
            return f"{name} is {'disabled' if item else 'not in the file'}"
        last = last_tick_that_runs(item, begin, end, pauses)
        stopped = latest_ticks(item.table, begin, end, 1) if last is None else []
        if last is not None or stopped:
            why = of_tick(item, last) if last else why_stopped(item, instant(stopped[0]), pauses)
            return f"{name} does not run {when}: {why}" if why else ""
        open_table = replace(item.table, calendar=None)
        closed = latest_ticks(open_table, begin, end, 1)
        day = local_date(item.table.zone, closed[0] if closed else end - 1)
        why = why_closed(item.table.calendar, day) if closed and item.table.calendar else ""
        return f"{name} does not run {when}: {why}" if why else f"{name} has no tick {when}"

    def of_tick(item: Item, tick: datetime) -> str:
        for one in item.after:
            begin, end = map(seconds, item.span_of(one, tick))
            if why := of_period(one.item, begin, end, item.when(one, tick)):
                return why
        return ""

    return of_tick
