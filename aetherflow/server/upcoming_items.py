"""List the items of a loaded scheduler file, each with the time of its next firing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

from aetherflow.events.schedule_events import UpcomingItem
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import next_tick
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.store.pauses import Pause, pause_in_force

MOST_ITEMS = 100
"""A file may have 10,000 items; `aetherflow scheduler next` shows them all."""


def upcoming_items(items: Iterable[Item], pauses: Sequence[Pause], now: datetime) -> tuple[UpcomingItem, ...]:
    """Return the first `MOST_ITEMS` of the items, each with its next scheduled time in its own zone."""
    return tuple(_upcoming(item, pauses, now) for item in islice(items, MOST_ITEMS))


def _upcoming(item: Item, pauses: Sequence[Pause], now: datetime) -> UpcomingItem:
    paused = pause_in_force(pauses, item.id, now)
    tick = next_tick(item.ticks_that_run, now) if item.spec.enabled else None
    local = tick.astimezone(ZoneInfo(item.zone)) if tick is not None else None
    return UpcomingItem(
        item.id,
        local,
        item.spec.enabled,
        tuple(map(str, item.after)),
        reason_of(paused, item.zone) if paused else "",
    )
