"""Find ticks that a pause or a window keeps from running, or delays. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from aetherflow.schedule.catch_up import ceiling
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import latest_ticks
from aetherflow.schedule.zone import instant
from aetherflow.scheduler.paused_ticks import reason_of
from aetherflow.scheduler.window_ticks import in_window
from aetherflow.store.pauses import Pause, pauses_of


def why_stopped(item: Item, tick: datetime, pauses: Sequence[Pause]) -> str:
    """Return which pause or window a tick is in that is skipped for it; empty if there is none."""
    if item.skips_in_windows and (window := item.window_at(tick)):
        return in_window(window)
    paused = pause_over(item, tick, pauses) if item.policy.catch_up == "none" else None
    return "" if paused is None else reason_of(paused, item.zone)


def why_later(item: Item, tick: datetime, pauses: Sequence[Pause]) -> str:
    """Return after which pause or window a tick is decided that is not skipped for it; empty without one."""
    if not item.skips_in_windows and item.has_own_times and (window := item.window_at(tick)):
        return f"after {window}"
    paused = pause_over(item, tick, pauses) if item.policy.catch_up != "none" else None
    return "" if paused is None else f"after the pause: {reason_of(paused, item.zone)}"


def last_tick_that_runs(item: Item, begin: int, end: int, pauses: Sequence[Pause]) -> datetime | None:
    """Return the last tick of [begin, end), in seconds since 1970, that no pause and no window stops."""
    table = item.ticks_that_run
    for low, high in _between(item, begin, end, pauses):
        if found := latest_ticks(table, low, high, 1):
            return instant(found[0])
    return None


def _between(item: Item, begin: int, end: int, pauses: Sequence[Pause]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a period outside the pauses that skip ticks, the last first."""
    mine = pauses_of(pauses, item.id) if item.policy.catch_up == "none" else []
    stops = [(ceiling(one.begin), end if one.end is None else ceiling(one.end)) for one in mine]
    at = end
    for low, high in sorted(stops, key=lambda stop: stop[1], reverse=True):
        if high <= begin or low >= at:
            continue
        if high < at:
            yield max(begin, high), at
        at = min(at, low)
    if at > begin:
        yield begin, at


def pause_over(item: Item, tick: datetime, pauses: Sequence[Pause]) -> Pause | None:
    """Return the pause that an instant is in; None without one."""
    return next((one for one in pauses_of(pauses, item.id) if one.includes(tick)), None)
