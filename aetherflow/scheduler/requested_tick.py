"""Open the firing of a tick that a person requests: a new row, or the row of a tick that did not succeed.

A tick has one row, by a timetable or by hand. What has succeeded is never repeated. The functions work inside
a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from aetherflow.errors import LockHeld, UsageError
from aetherflow.observe.time_words import in_zone
from aetherflow.schedule.instant_text import local_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.item_params import previous_tick
from aetherflow.schedule.timetable import count_ticks, next_tick
from aetherflow.schedule.zone import seconds
from aetherflow.store.firings import (
    Firing,
    NewFiring,
    firing_at,
    firings_between,
    insert_firing,
    reopen_firing,
    set_ticks,
    shared_after,
)

NO_PARAMS = "{}"


class TickTaken(UsageError):
    """The firing of a tick has succeeded, or is open."""

    default_code = "AF444"


def refuse_taken(raw: sqlite3.Connection, item: Item, tick: datetime) -> None:
    """Refuse a tick whose firing has succeeded or is open.

    Raises:
        TickTaken: it has, or is.
    """
    found = firing_at(raw, item.scheduler, item.id, tick)
    if found is None:
        return
    of_run = f"{item.id} at {local_text(found.scheduled, item.zone)}"
    if found.is_open:
        hint = f"wait for run {found.run_id}, or cancel it: aetherflow runs cancel {found.run_id}"
        raise TickTaken(f"{of_run} is {found.outcome} already", hint=hint)
    if found.outcome == "SUCCESS":
        hint = (
            "what succeeded is not repeated; for another run of that day, "
            f"run the flow: aetherflow runs show {found.run_id} shows which"
        )
        raise TickTaken(f"{of_run} has succeeded already (run {found.run_id})", hint=hint)


def is_tick_of(item: Item, at: datetime) -> bool:
    """Whether an instant is a tick of an item, its calendar aside."""
    every = replace(item.table, calendar=None)
    return next_tick(every, at - timedelta(seconds=1)) == at


def held(item: Item, reason: str) -> LockHeld:
    """Return the error of an item that does not run now."""
    return LockHeld(
        f"item {item.id!r} does not run now: {in_zone(reason, item.zone)}",
        hint="wait until that has ended, or cancel it: aetherflow runs cancel RUN; "
        "if its process is dead, resume it: aetherflow runs retry RUN",
    )


def open_tick(
    raw: sqlite3.Connection, item: Item, new: NewFiring, now: datetime, new_id: Callable[[], str]
) -> Firing | None:
    """Open the firing of a tick as `new` says, with a run id; None if it has succeeded or is open.

    A run that has failed or was cancelled is resumed, unless it would have other params: then, and after a
    tick that did not run, there is a new run.
    """
    found = firing_at(raw, item.scheduler, item.id, new.scheduled_at)
    if found is None:
        _take_from_shared(raw, item, new.scheduled_at)
        return insert_firing(raw, replace(new, run_id=new_id()), now)
    if found.is_open or found.outcome == "SUCCESS":
        return None
    params = new.params if new.params != NO_PARAMS else found.params
    resumes = found.outcome in ("FAILED", "CANCELLED") and params == found.params
    run_id = found.run_id if resumes and found.run_id else new_id()
    reopened = reopen_firing(raw, found, replace(new, run_id=run_id, params=params), now)
    if found.ticks > 1:
        _share_again(raw, item, found, now)
    return reopened


def is_tick(item: Item, at: datetime) -> bool:
    """Whether a time is a tick of the timetable of an item."""
    return next_tick(item.table, at - timedelta(seconds=1)) == at


def _take_from_shared(raw: sqlite3.Connection, item: Item, tick: datetime) -> None:
    """Take a tick out of the row that it shares with later ones, if it does."""
    shared = shared_after(raw, item.scheduler, item.id, tick)
    if shared is None:
        return
    between = count_ticks(item.table, seconds(tick), seconds(shared.scheduled))
    rows = firings_between(raw, item.scheduler, item.id, tick, shared.scheduled)
    own = sum(one.cause != "manual" or is_tick(item, one.scheduled) for one in rows)
    if between - own < shared.ticks:  # else the tick is before those that share the row
        set_ticks(raw, shared.firing_id, shared.ticks - 1)


def _share_again(raw: sqlite3.Connection, item: Item, found: Firing, now: datetime) -> None:
    """Give the earlier ticks of a shared row, whose own tick runs now, a shared row of their own."""
    tick = previous_tick(item, found.scheduled)
    while tick is not None and firing_at(raw, item.scheduler, item.id, tick) is not None:
        tick = previous_tick(item, tick)
    if tick is None:
        return
    rest = NewFiring(
        item.scheduler,
        item.id,
        tick,
        found.cause,
        found.outcome,
        reason=found.reason,
        ticks=found.ticks - 1,
        is_planned=found.is_planned,
    )
    insert_firing(raw, rest, now)
