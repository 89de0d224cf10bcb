"""Handle what a clock that was ahead has decided: ticks that have not come yet.

A server whose clock is ahead decides about ticks too early; when the clock is right again, those ticks come
again. What ran stays, so that no tick runs twice. Everything else is decided again when its time comes.
Nothing is deleted before: a clock that is behind for a moment, as when a machine boots, must erase nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import latest_ticks
from aetherflow.schedule.zone import instant, seconds
from aetherflow.store.firings import (
    Firing,
    delete_firing,
    firing_at,
    has_firing,
    missed_early,
    shorten_firing,
)
from aetherflow.store.projection import timestamp
from aetherflow.store.schedule_items import items_decided_after, set_decided_to

AHEAD_SECONDS = 10.0
"""From when a firing was decided by a clock that was ahead: twice what servers that agree may differ."""

CLOCK_BACK_SECONDS = 1
"""From when a clock that is behind what was decided counts as put back."""

MOST_NAMES = 5
ONE_SECOND = timedelta(seconds=1)


class ItemAhead(msgspec.Struct, frozen=True):
    """An item whose ticks were decided up to a time that has not come.

    Attributes:
        decided: that time.
        since: the time from which its ticks are decided now.
    """

    decided: datetime
    since: datetime


def lies_ahead(firing: Firing, now: datetime) -> bool:
    """Whether the time of a firing that has not started has not come; it waits for it.

    One that is queued may be ahead a little: the clocks of two servers differ.
    """
    if firing.started_at is not None or firing.cause not in ("tick", "catch_up"):
        return False
    ahead = 0.0 if firing.outcome == "WAITING" else AHEAD_SECONDS
    return firing.due_at > timestamp(now + timedelta(seconds=ahead))


def was_decided_early(firing: Firing, now: datetime) -> bool:
    """Whether a tick was judged not to run by a clock that was ahead."""
    return (
        firing.outcome in ("SKIPPED", "MISSED")
        and firing.started_at is None
        and firing.cause in ("tick", "catch_up")
        and firing.decided_at > timestamp(now + timedelta(seconds=AHEAD_SECONDS))
    )


def remove_if_decided_early(
    raw: sqlite3.Connection, item: Item, tick: datetime, now: datetime
) -> Firing | None:
    """Delete and return the row of a tick that a clock ahead judged not to run; else leave it, return None.

    A row for several ticks stays for those before: the later of them have had their own decision since.
    """
    old = firing_at(raw, item.scheduler, item.id, tick)
    if old is None or not was_decided_early(old, now):
        return None
    left, newest = old.ticks - 1, tick
    while left > 0:
        newest = instant(latest_ticks(item.table, 0, seconds(newest), 1)[0])
        if not has_firing(raw, item.scheduler, item.id, newest):
            break
        left -= 1
    if left:
        reason = f"{old.reason}; {left} of them, as the later ones were decided again"
        shorten_firing(raw, old.firing_id, newest, left, reason)
    else:
        delete_firing(raw, old.firing_id)
    return old


def treat_as_now(raw: sqlite3.Connection, scheduler: str, now: datetime) -> dict[str, ItemAhead]:
    """Let the ticks of the items that are decided up to a time ahead be decided from now on; return those.

    Past ticks that the clock ahead called too late are decided again too.
    """
    ahead = items_decided_after(raw, scheduler, now + timedelta(seconds=CLOCK_BACK_SECONDS))
    if not ahead:
        return {}
    early = missed_early(raw, scheduler, ahead, now, now + timedelta(seconds=AHEAD_SECONDS))
    found = {
        name: ItemAhead(decided, min(now, early.get(name, now + ONE_SECOND) - ONE_SECOND))
        for name, decided in ahead.items()
    }
    set_decided_to(raw, scheduler, ((name, one.since) for name, one in found.items()))
    return found


def described(ahead: Mapping[str, ItemAhead], now: datetime) -> str:
    """Return the sentence for people about items that were decided ahead."""
    names = sorted(ahead)
    most = max(one.decided for one in ahead.values())
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    what = f"the ticks of item {listed} were" if len(names) == 1 else f"the ticks of the items {listed} were"
    return (
        f"{what} decided up to {utc_text(most)}, {(most - now).total_seconds():.0f} s ahead of the "
        "clock, which was wrong or is; they are decided from now on, and no tick runs a second time"
    )
