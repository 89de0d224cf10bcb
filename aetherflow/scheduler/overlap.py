"""Decide whether a firing starts now, waits, or is skipped: overlap rule, and the items it follows.

The functions read and write in a transaction of the caller, so that all servers on one database agree.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

import msgspec

from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import next_tick
from aetherflow.store.firings import (
    Firing,
    cancel_unstarted,
    firings_between,
    open_firings,
    request_firing_cancel,
)
from aetherflow.store.run_lease import request_cancel
from aetherflow.store.schedule_items import decided_to

QUEUE_MAXIMUM = 100
"""How many firings of one item wait for their turn; the next ones are skipped."""


class Verdict(msgspec.Struct, frozen=True):
    """Whether a firing starts, waits or is skipped, and why.

    Attributes:
        counts: whether it matters to items that follow; not if another, open firing does.
    """

    outcome: Literal["QUEUED", "WAITING", "SKIPPED", "MISSED"]
    reason: str = ""
    counts: bool = True


START = Verdict("QUEUED")


def judge_new(
    raw: sqlite3.Connection,
    item: Item,
    scheduled: datetime,
    now: datetime,
    *,
    made_up: int = 0,
    by_hand: bool = False,
) -> Verdict:
    """Decide about a firing that has no row yet; one that `cancel_running` prefers ends those before it.

    `made_up` is how many ticks are made up for at once: those wait for one another and for what runs,
    also where `skip` holds for ticks in time, since the catch-up rule says that they run. A firing
    `by_hand` follows nothing.
    """
    followed = START if by_hand else _judge_followed(raw, item, scheduled, now)
    if followed.outcome in ("SKIPPED", "MISSED"):
        return followed
    if len(open_firings(raw, item.scheduler, item.id)) < item.spec.max_instances:
        return followed
    others = _in_the_way(raw, item, scheduled, now, waits=followed.outcome == "WAITING")
    if len(others) < item.spec.max_instances:
        return followed
    match item.spec.overlap:
        case "skip" if not made_up:
            reason = f"{_described(others)} (max_instances {item.spec.max_instances})"
            return Verdict("SKIPPED", reason, counts=False)
        case "cancel_running":
            _replace(raw, others, item.spec.max_instances, scheduled, now)
        case _:
            waiting = sum(other.outcome == "WAITING" for other in others)
            if waiting >= max(QUEUE_MAXIMUM, made_up):
                return Verdict("SKIPPED", f"{waiting} firings of the item wait already", counts=False)
    return followed if followed.outcome == "WAITING" else _judge_turn(raw, item, scheduled, now)


def judge_waiting(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> Verdict:
    """Decide again about a firing that waits; only now one that followed others may end those before it."""
    followed = _judge_followed_of(raw, item, firing, now)
    if followed.outcome != "QUEUED":
        return followed
    if item.spec.overlap == "cancel_running" and item.spec.after:
        older = [o for o in _in_the_way(raw, item, firing.scheduled, now) if _is_before(o, now, firing)]
        _replace(raw, older, item.spec.max_instances, firing.scheduled, now)
    return _judge_turn(raw, item, firing.scheduled, now, firing)


def _judge_turn(
    raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime, firing: Firing | None = None
) -> Verdict:
    """Let a firing start if fewer than `max_instances` other firings run, or wait and are older.

    It does not matter at which server the others wait.
    """
    most = item.spec.max_instances
    mine = None if firing is None else firing.firing_id
    others = [one for one in _in_the_way(raw, item, scheduled, now) if one.firing_id != mine]
    started = [one for one in others if one.outcome != "WAITING"]
    if len(started) >= most:
        return Verdict("WAITING", f"{_described(started)} (max_instances {most})")
    ahead = [one for one in others if one.outcome == "WAITING" and _is_before(one, scheduled, firing)]
    if len(started) + len(ahead) >= most:
        return Verdict("WAITING", f"{_described(ahead)}; the oldest goes first (max_instances {most})")
    return START


def _in_the_way(
    raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime, *, waits: bool = False
) -> list[Firing]:
    """Return the open firings of an item that count for its overlap rule; oldest first.

    What waits for other items does not run, perhaps for a day: it is in the way of nothing but of what waits
    for the same ones. A firing that waits (`waits`) may start tomorrow whatever runs today.
    """
    opened = open_firings(raw, item.scheduler, item.id)
    if waits:
        begin, end = item.day_of(scheduled)
        return [one for one in opened if begin <= one.scheduled < end]
    return [
        one
        for one in opened
        if one.outcome != "WAITING" or _judge_followed_of(raw, item, one, now).outcome == "QUEUED"
    ]


def _is_before(other: Firing, scheduled: datetime, firing: Firing | None) -> bool:
    """Whether another firing is older; of one instant, the one that was decided first."""
    if firing is None:
        return other.scheduled <= scheduled
    return (other.scheduled_at, other.firing_id) < (firing.scheduled_at, firing.firing_id)


def _judge_followed_of(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> Verdict:
    """Look at what a firing follows, if it does: one by hand follows nothing."""
    return START if firing.cause == "manual" else _judge_followed(raw, item, firing.scheduled, now)


def _judge_followed(raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime) -> Verdict:
    """Look at the runs, of the same local day, of the items that this one follows.

    The last firing of the day says how an item ended, also when it could not run. Firings that do not
    count, since another one does or they were missed, say nothing.
    """
    if not item.spec.after:
        return START
    begin, end = item.day_of(scheduled)
    waits: list[str] = []
    absent: list[str] = []
    for name in item.spec.after:
        firings = [f for f in firings_between(raw, item.scheduler, name, begin, end) if f.run_id]
        if any(one.is_open for one in firings) or _ticks_first(raw, item, name, scheduled, now):
            waits.append(name)
        elif not firings:
            (waits if now < end else absent).append(name)
        elif firings[-1].outcome != "SUCCESS":
            return _ended_badly(name, firings[-1])
    if absent:
        return Verdict("MISSED", f"{', '.join(absent)} did not succeed that day")
    return Verdict("WAITING", f"waits for {', '.join(waits)}") if waits else START


def _ticks_first(raw: sqlite3.Connection, item: Item, name: str, scheduled: datetime, now: datetime) -> bool:
    """Whether an item has ticks up to the one that follows it, about which no server has decided yet.

    When the day is over, those are all of the day: jitter, downtime or a busy server may delay them.
    """
    table, end = item.follows.get(name), item.day_of(scheduled)[1]
    decided = decided_to(raw, item.scheduler, [name]).get(name)
    if table is None or decided is None:
        return False
    tick = next_tick(table, decided)
    return tick is not None and (tick <= scheduled or (now >= end and tick < end))


def _ended_badly(name: str, firing: Firing) -> Verdict:
    """Return the verdict about a firing whose predecessor did not succeed."""
    reason = f"{name} ended {firing.outcome} that day"
    if firing.outcome == "MISSED":
        return Verdict("MISSED", reason)
    return Verdict("SKIPPED", reason + (f" (run {firing.run_id})" if firing.outcome != "SKIPPED" else ""))


def _replace(
    raw: sqlite3.Connection, others: list[Firing], most: int, scheduled: datetime, now: datetime
) -> None:
    """End the oldest of the open firings, so that one more is within `max_instances`."""
    reason = f"replaced by the firing of {short(scheduled)}"
    for other in others[: max(len(others) - most + 1, 0)]:
        if other.cancel_reason or cancel_unstarted(raw, other.firing_id, reason, now):
            continue
        request_firing_cancel(raw, other.firing_id, reason)
        request_cancel(raw, other.run_id or "", reason, now)


def _described(firings: list[Firing]) -> str:
    if len(firings) == 1:
        one = firings[0]
        what = "waits" if one.outcome == "WAITING" else "has not ended"
        return f"run {one.run_id} of {short(one.scheduled)} {what}"
    return f"{len(firings)} firings of the item are not over"


def short(at: datetime) -> str:
    """Return an instant to the second, in UTC."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
