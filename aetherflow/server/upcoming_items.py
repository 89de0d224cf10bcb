"""List the items of a loaded scheduler file, each with its next firing and what is overdue or left over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from aetherflow.events.schedule_events import LeftFiring, UpcomingItem
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import due_at, next_tick
from aetherflow.scheduler.outlook import Outlook
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.scheduler.window_ticks import is_held_by_window
from aetherflow.store.firings import Firing
from aetherflow.store.pauses import EVERY_ITEM, Pause, pause_in_force

MOST_ITEMS = 300
"""How many items are listed at once; a file may have 10,000, and the loop has other work."""

MOST_LEFT = 3
"""How many firings to take over are listed for an item; each that is taken over is an event of its own."""

OVERDUE_SECONDS = 5
"""A tick that has been due for less is nothing to speak of: the file was just read."""


def upcoming_items(
    items: Iterable[Item], outlook: Outlook, now: datetime, *, is_first: bool
) -> Iterator[tuple[UpcomingItem, ...]]:
    """Yield the items, `MOST_ITEMS` at once, each with its next scheduled time in its own zone.

    With `is_first`, the server starts, and takes over what dead servers have left.
    """
    left: dict[str, list[Firing]] = {}
    for one in outlook.left if is_first else ():
        left.setdefault(one.item_id, []).append(one)
    pauses: dict[str, list[Pause]] = {}
    for pause in outlook.pauses:
        pauses.setdefault(pause.item_id, []).append(pause)
    ahead = iter(items)
    while chosen := tuple(islice(ahead, MOST_ITEMS)):
        yield tuple(
            _upcoming(
                item,
                outlook,
                pause_in_force([*pauses.get(EVERY_ITEM, ()), *pauses.get(item.id, ())], item.id, now),
                left.get(item.id, []),
                now,
                is_first=is_first,
            )
            for item in chosen
        )


def _upcoming(
    item: Item,
    outlook: Outlook,
    paused: Pause | None,
    left: list[Firing],
    now: datetime,
    *,
    is_first: bool,
) -> UpcomingItem:
    zone = ZoneInfo(item.zone)
    is_enabled = item.spec.enabled
    tick = next_tick(item.ticks_that_run, now) if is_enabled else None
    is_held = paused is not None or is_held_by_window(item, now)
    overdue = _overdue(item, outlook, now) if is_enabled and not is_held else None
    at_boot = is_enabled and item.table.trigger.at_boot
    return UpcomingItem(
        item_id=item.id,
        next_at=tick.astimezone(zone) if tick is not None else None,
        enabled=is_enabled,
        after=tuple(map(str, item.after)),
        paused=reason_of(paused, item.zone) if paused else "",
        overdue_since=overdue.astimezone(zone) if overdue is not None else None,
        at_boot=at_boot,
        fires_now=at_boot and is_first and paused is None and item.id not in outlook.booted,
        left=tuple(
            LeftFiring(one.scheduled.astimezone(zone), one.outcome, one.run_id or "")
            for one in left[:MOST_LEFT]
        ),
        left_count=len(left),
        missing=str(item.missing[0]) if item.missing else "",
    )


def _overdue(item: Item, outlook: Outlook, now: datetime) -> datetime | None:
    """Return the first tick that no server has decided about though it is due for some seconds."""
    tick = next_tick(item.ticks_that_run, outlook.decided.get(item.id, now))
    is_due = tick is not None and due_at(item.table, tick) < now - timedelta(seconds=OVERDUE_SECONDS)
    return tick if is_due else None
