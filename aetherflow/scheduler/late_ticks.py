"""Decide which ticks of an item are late, from their rows and the clock; reads no database.

What a person has started (by hand, or as a backfill) has no time to be late for; its run may still be
unusually long. A tick that was skipped was not to run, by its pause, its overlap rule, or because another run
is for it too; that matters only if no run of the item has ever started.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime

import msgspec

from aetherflow.events.schedule_events import AlertKind
from aetherflow.observe.time_words import rough_duration
from aetherflow.schedule.deadline import Deadline
from aetherflow.schedule.item import Item
from aetherflow.spec.duration import duration_text
from aetherflow.spec.on_late import occasions_of
from aetherflow.store.firings import Firing

LEAST_SUCCESSES = 3
"""From how many successes on a multiple of the usual duration is judged."""

LEAST_SECONDS = 10.0
"""A shorter run is never unusually long by a multiple: the machine may just be busy."""

ON_TIME = frozenset({"tick", "catch_up", "event"})
"""The causes of firings that have a time to be late for."""


class Late(msgspec.Struct, frozen=True):
    """A tick that is late, with a sentence about it."""

    firing: Firing
    kind: AlertKind
    message: str


def is_watched(item: Item) -> bool:
    """Whether late ticks of an item, or the ends of its runs, are to be reported."""
    has_steps = bool(item.spec.on_late or item.spec.notify)
    return item.spec.enabled and (item.deadline is not None or has_steps)


def watches_lateness(item: Item) -> bool:
    """Whether it matters if a tick is late, not only how its run ends."""
    return item.deadline is not None or bool(item.spec.on_late) or "late" in occasions_of(item.spec)


def late_ticks(
    item: Item, firing: Firing, now: datetime, *, usual: Sequence[float] = (), has_run: bool = True
) -> list[Late]:
    """Return what is late about a tick now.

    Args:
        item: the item.
        firing: the row of the tick.
        now: the time.
        usual: how many seconds the earlier successes of the item took.
        has_run: whether the item has ever had a run, or that it has not is known already.
    """
    found = []
    if firing.cause in ON_TIME:
        found.append(_without_run(firing, has_run=has_run))
    if item.deadline is not None:
        if firing.cause in ON_TIME:
            found.append(_late_start(item.deadline, firing, now))
            found.append(_late_end(item, item.deadline, firing, now))
        found.append(_long(item.deadline, firing, now, usual))
    return [one for one in found if one is not None]


def ended_without_run(firing: Firing) -> bool:
    """Whether a tick is over and its run has never started."""
    return firing.finished_at is not None and firing.started_at is None


def needs_usual(item: Item, firing: Firing) -> bool:
    """Whether the usual duration of the item must be known to judge a firing."""
    limit = item.deadline.longer_than if item.deadline else None
    return limit is not None and limit.times is not None and firing.started_at is not None


def _without_run(firing: Firing, *, has_run: bool) -> Late | None:
    if not ended_without_run(firing) or firing.outcome == "CANCELLED":
        return None
    if firing.outcome == "SKIPPED":
        return None if has_run else Late(firing, "never_ran", _never(f"its tick is SKIPPED: {firing.reason}"))
    what = f"its run could not start: {firing.reason}"
    if firing.outcome == "MISSED":
        what = f"its tick is MISSED: {firing.reason}"
    return Late(firing, "missed", what) if has_run else Late(firing, "never_ran", _never(what))


def _never(what: str) -> str:
    return f"no run of the item has ever started; {what}"


def _late_start(deadline: Deadline, firing: Firing, now: datetime) -> Late | None:
    due = datetime.fromisoformat(firing.due_at)
    limit = deadline.start_by(due)
    if limit is None or deadline.start_within is None or ended_without_run(firing):
        return None
    started = datetime.fromisoformat(firing.started_at) if firing.started_at else now
    if started <= limit:
        return None
    late = f"{rough_duration((started - due).total_seconds())} after its time"
    wanted = f"(start_within {duration_text(deadline.start_within)})"
    if firing.started_at:
        return Late(firing, "late_start", f"its run started {late} {wanted}")
    why = f": {firing.reason}" if firing.reason else ""
    return Late(firing, "late_start", f"its run has not started {late} {wanted}{why}")


def _late_end(item: Item, deadline: Deadline, firing: Firing, now: datetime) -> Late | None:
    limit = deadline.over_by(firing.scheduled, item.zone)
    if limit is None or ended_without_run(firing):
        return None
    ended = datetime.fromisoformat(firing.finished_at) if firing.finished_at else now
    if ended <= limit:
        return None
    wanted = f"end_by {deadline.end_by_text} {item.zone}"
    if firing.finished_at:
        late = rough_duration((ended - limit).total_seconds())
        return Late(firing, "late_end", f"its run ended {late} after {wanted}")
    state = "is not over" if firing.started_at else "has not started"
    return Late(firing, "late_end", f"its run {state} ({wanted})")


def _long(deadline: Deadline, firing: Firing, now: datetime, usual: Sequence[float]) -> Late | None:
    longer = deadline.longer_than
    if longer is None or firing.started_at is None:
        return None
    limit, wanted = longer.seconds, f"longer_than {longer}"
    if longer.times is not None:
        if len(usual) < LEAST_SUCCESSES:
            return None
        median = statistics.median(usual)
        limit = max(longer.times * median, LEAST_SECONDS)
        wanted += f"; usual are {rough_duration(median)}"
    end = datetime.fromisoformat(firing.finished_at) if firing.finished_at else now
    took = (end - datetime.fromisoformat(firing.started_at)).total_seconds()
    if took <= limit:
        return None
    what = "took" if firing.finished_at else "has been executed for"
    return Late(firing, "long", f"its run {what} {rough_duration(took)} ({wanted})")
