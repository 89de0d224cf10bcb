"""Whether a firing may start now, waits, or does not run: the item's overlap rule and the items it follows.

The functions read and write in a transaction of the caller, so that all servers on one database agree.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

import msgspec

from aetherflow.schedule.item import Item
from aetherflow.store.firings import (
    Firing,
    ask_to_cancel,
    count_open,
    drop_unbegun,
    firings_between,
    open_firings,
)
from aetherflow.store.run_lease import request_cancel

QUEUE_MAXIMUM = 100
"""How many firings of one item wait for their turn; the next ones are skipped."""

ENDED_BADLY = ("FAILED", "CANCELLED")


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a firing now, and why, if it does not start."""

    outcome: Literal["QUEUED", "WAITING", "SKIPPED", "MISSED"]
    reason: str = ""


START = Verdict("QUEUED")


def judge_new(
    raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime, *, made_up: int = 0
) -> Verdict:
    """Decide about a firing that has no row yet; one that `cancel_running` prefers ends those before it.

    `made_up` is how many ticks are made up for at once: those wait for one another and for what runs,
    also where `skip` holds for ticks in time, since the catch-up rule says that they run.
    """
    followed = _judge_followed(raw, item, scheduled, now)
    if followed.outcome in ("SKIPPED", "MISSED"):
        return followed
    if count_open(raw, item.scheduler, item.id) < item.spec.max_instances:
        return followed
    others = open_firings(raw, item.scheduler, item.id)
    match item.spec.overlap:
        case "skip" if not made_up:
            return Verdict("SKIPPED", f"{_described(others)} (max_instances {item.spec.max_instances})")
        case "cancel_running":
            _replace(raw, others, item.spec.max_instances, scheduled, now)
            return followed if followed.outcome == "WAITING" else _judge_turn(raw, item, 0)
        case _:
            waiting = sum(other.outcome == "WAITING" for other in others)
            if waiting >= max(QUEUE_MAXIMUM, made_up):
                return Verdict("SKIPPED", f"{waiting} firings of the item wait already")
            return followed if followed.outcome == "WAITING" else _judge_turn(raw, item, 0)


def judge_waiting(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> Verdict:
    """Decide again about a firing that waits."""
    followed = Verdict("QUEUED")
    if firing.cause != "manual":
        followed = _judge_followed(raw, item, firing.scheduled, now)
    return followed if followed.outcome != "QUEUED" else _judge_turn(raw, item, firing.firing_id)


def _judge_turn(raw: sqlite3.Connection, item: Item, firing_id: int) -> Verdict:
    """Let a firing start when fewer than `max_instances` have, and none that waits is before it."""
    others = [o for o in open_firings(raw, item.scheduler, item.id) if o.firing_id != firing_id]
    started = [other for other in others if other.outcome != "WAITING"]
    if len(started) >= item.spec.max_instances:
        return Verdict("WAITING", f"{_described(started)} (max_instances {item.spec.max_instances})")
    return START


def _judge_followed(raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime) -> Verdict:
    """Look at the runs, of the same local day, of the items that this one follows."""
    begin, end = item.day_of(scheduled)
    waits: list[str] = []
    for name in item.spec.after:
        runs = [f for f in firings_between(raw, item.scheduler, name, begin, end) if f.run_id]
        if any(run.is_open for run in runs) or not runs:
            waits.append(name)
        elif runs[-1].outcome in ENDED_BADLY:
            return Verdict("SKIPPED", f"{name} ended {runs[-1].outcome} that day (run {runs[-1].run_id})")
    if not waits:
        return START
    if now >= end:
        return Verdict("MISSED", f"{', '.join(waits)} did not succeed that day")
    return Verdict("WAITING", f"waits for {', '.join(waits)}")


def _replace(
    raw: sqlite3.Connection, others: list[Firing], most: int, scheduled: datetime, now: datetime
) -> None:
    """End the oldest of the open firings, so that one more is within `max_instances`."""
    reason = f"replaced by the firing of {short(scheduled)}"
    for other in others[: len(others) - most + 1]:
        if drop_unbegun(raw, other.firing_id, reason, now):
            continue
        ask_to_cancel(raw, other.firing_id, reason)
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
