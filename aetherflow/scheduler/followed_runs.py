"""Decide whether the runs that an item follows let it start: those of its day, or of another period.

The functions read in a transaction of the caller, so that all servers on one database agree.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from aetherflow.schedule.followed import Followed
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import next_tick
from aetherflow.scheduler.clock_ahead import lies_ahead, was_decided_early
from aetherflow.scheduler.verdict import START, Verdict
from aetherflow.store.firings import Firing, firings_between, newest_decided
from aetherflow.store.schedule_items import decided_to

MOST_FIRINGS = 200
"""How many firings of a week or month are looked at, the newest."""


def judge_followed(raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime) -> Verdict:
    """Look at the runs, of the same local day or of another period, of the items that this one follows.

    The last firing of the period says how an item ended, also when it could not run. Firings that do not
    count, since another one does or they were missed, say nothing; of a week or month the last one counts
    also if it was missed.
    """
    waits: list[str] = []
    absent: list[str] = []
    for one in item.after:
        begin, end = item.span_of(one, scheduled)
        what = one.item if str(one) == one.item else f"{one.item} {item.when(one, scheduled)}"
        if _ticks_first(raw, item, one, scheduled, now):
            waits.append(what)
            continue
        firings = [
            firing
            for firing in _firings(raw, item, one, begin, end)
            if not (lies_ahead(firing, now) or was_decided_early(firing, now))
        ]
        if any(firing.is_open for firing in firings):
            waits.append(what)
        elif not firings:
            (waits if now < end else absent).append(what)
        elif firings[-1].outcome != "SUCCESS":
            return _ended_badly(one.item, item.when(one, scheduled), firings[-1])
    if absent:
        that_day = " that day" if set(absent) <= {one.item for one in item.after} else ""
        return Verdict("MISSED", f"{', '.join(absent)} did not succeed{that_day}")
    return Verdict("WAITING", f"waits for {', '.join(waits)}") if waits else START


def _firings(
    raw: sqlite3.Connection, item: Item, one: Followed, begin: datetime, end: datetime
) -> list[Firing]:
    """Return the firings of a period that may count, oldest first."""
    if one.needs_all_ticks:
        return newest_decided(raw, item.scheduler, one.item, begin, end, MOST_FIRINGS)
    return [firing for firing in firings_between(raw, item.scheduler, one.item, begin, end) if firing.run_id]


def _ticks_first(
    raw: sqlite3.Connection, item: Item, one: Followed, scheduled: datetime, now: datetime
) -> bool:
    """Whether an item has ticks up to the one that follows it, about which no server has decided yet.

    When the day is over, those are all of the day: jitter, downtime or a busy server may delay them. Of a
    week or month they are all, at any time.
    """
    table, (_, end) = item.follows.get(one.item), item.span_of(one, scheduled)
    decided = decided_to(raw, item.scheduler, [one.item]).get(one.item)
    if table is None or decided is None:
        return False
    tick = next_tick(table, decided)
    if tick is None:
        return False
    is_past = tick < min(end, scheduled + timedelta(microseconds=1))
    return is_past or (tick < end and (one.needs_all_ticks or now >= end))


def _ended_badly(name: str, when: str, firing: Firing) -> Verdict:
    """Return the verdict about a firing whose predecessor did not succeed."""
    reason = f"{name} ended {firing.outcome} {when}"
    if firing.outcome == "MISSED":
        return Verdict("MISSED", reason)
    return Verdict("SKIPPED", reason + (f" (run {firing.run_id})" if firing.outcome != "SKIPPED" else ""))
