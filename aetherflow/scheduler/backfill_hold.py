"""Say what holds the firings of backfills: a pause of their item, or a window in which it starts nothing."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aetherflow.schedule.item import Item
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.scheduler.window_ticks import waits_for_window
from aetherflow.store.pauses import pause_in_force, read_pauses


def held_by(raw: sqlite3.Connection, item: Item, now: datetime, zone: str = "UTC") -> str:
    """Return why the backfills of an item start nothing now, with times of the zone; empty if they may."""
    pause = pause_in_force(read_pauses(raw, item.scheduler), item.id, now)
    if pause is not None:
        return reason_of(pause, zone)
    window = item.window_at(now)
    return "" if window is None else waits_for_window(window)
