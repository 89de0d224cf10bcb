"""Decide whether a firing starts now, waits, or is skipped: overlap rule, and the items it follows.

The functions read and write in a transaction of the caller, so that all servers on one database agree.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import due_at, next_tick
from aetherflow.scheduler.backfill_hold import held_by
from aetherflow.scheduler.clock_ahead import lies_ahead
from aetherflow.scheduler.followed_runs import judge_followed
from aetherflow.scheduler.verdict import START, Verdict
from aetherflow.scheduler.window_ticks import waits_for_window
from aetherflow.store.backfills import own_limits, started_count
from aetherflow.store.firings import (
    BY_HAND,
    Cause,
    Firing,
    cancel_unstarted,
    open_firings,
    request_firing_cancel,
)
from aetherflow.store.run_lease import request_cancel

QUEUE_MAXIMUM = 100
"""How many firings of one item wait for their turn; the next ones are skipped."""

MADE_UP = frozenset({"catch_up", "backfill"})
"""The causes of firings that make up for ticks that have passed."""


def judge_new(
    raw: sqlite3.Connection,
    item: Item,
    scheduled: datetime,
    now: datetime,
    *,
    cause: Cause = "tick",
    due_at_once: int = 1,
    is_for_several: bool = False,
) -> Verdict:
    """Decide about a firing that has no row yet; one that `cancel_running` prefers ends those before it.

    `due_at_once` is how many ticks run that were due together. Those, and those that are made up for, wait
    for one another and for what runs, whatever `overlap` says, since the catch-up rule says that they run.
    One that `is_for_several` ticks, which are coalesced into it, is not skipped either: all of them would be
    lost. A firing by hand follows nothing.
    """
    followed = START if cause in BY_HAND else judge_followed(raw, item, scheduled, now)
    followed = _outside_windows(item, cause, followed, now)
    if followed.outcome in ("SKIPPED", "MISSED"):
        return followed
    most = item.spec.max_instances
    if len(open_firings(raw, item.scheduler, item.id)) < most:
        return followed
    others = _in_the_way(raw, item, scheduled, now, waits=followed.outcome == "WAITING")
    if len(others) < most:
        return followed
    mine = is_made_up(item, cause, scheduled, now)
    ahead = [one for one in others if mine or one.outcome != "WAITING" or not _made_up(item, one)]
    waits = mine or due_at_once > 1
    may_skip = item.spec.overlap == "skip" and not waits and not is_for_several
    if may_skip and (met := _met(item, ahead)):
        return Verdict("SKIPPED", f"{_described(met)} (max_instances {most})", counts=False)
    if item.spec.overlap == "cancel_running" and not waits:
        _replace(raw, ahead, most, scheduled, now)
    else:
        waiting = sum(other.outcome == "WAITING" for other in ahead)
        if waiting >= max(QUEUE_MAXIMUM, due_at_once):
            return Verdict("SKIPPED", f"{waiting} firings of the item wait already", counts=False)
    if followed.outcome == "WAITING":
        return followed
    return _judge_turn(raw, item, scheduled, now, is_behind=mine)


def judge_waiting(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> Verdict:
    """Decide again about a firing that waits; only now one that followed others may end those before it."""
    if firing.backfill and (verdict := _judge_backfilled(raw, item, firing, now)):
        return verdict
    followed = _outside_windows(item, firing.cause, _judge_followed_of(raw, item, firing, now), now)
    if followed.outcome != "QUEUED":
        return followed
    mine = _made_up(item, firing)
    if item.spec.overlap == "cancel_running" and item.spec.after and not mine:
        older = [
            one
            for one in _in_the_way(raw, item, firing.scheduled, now)
            if _is_before(one, now, firing) and (one.outcome != "WAITING" or not _made_up(item, one))
        ]
        _replace(raw, older, item.spec.max_instances, firing.scheduled, now)
    return _judge_turn(raw, item, firing.scheduled, now, firing, is_behind=mine)


def _judge_backfilled(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> Verdict | None:
    """Let a firing of a backfill wait if it is held, or for its own limit; None: it takes its turn."""
    if reason := held_by(raw, item, now):
        return Verdict("WAITING", reason)
    limit = own_limits(raw, item.scheduler, item.id).get(firing.backfill)
    if limit is None:
        return None
    if started_count(raw, firing.scheduler, firing.item_id, firing.backfill) < limit:
        return START
    return Verdict("WAITING", f"{limit} runs of its backfill have not ended (--parallel {limit})")


def is_made_up(item: Item, cause: Cause, scheduled: datetime, decided: datetime) -> bool:
    """Whether a firing makes up for a tick that has passed, so that ticks on time go before it.

    It is caught up or backfilled, or a newer tick was due when it was decided. Where firings wait in their
    order anyway and only what is in time runs, that order stays.
    """
    if cause != "tick":
        return cause in MADE_UP
    if item.spec.overlap == "queue" and item.policy.catch_up != "all":
        return False
    newer = next_tick(item.table, scheduled)
    return newer is not None and due_at(item.table, newer) <= decided


def _made_up(item: Item, firing: Firing) -> bool:
    return is_made_up(item, firing.cause, firing.scheduled, datetime.fromisoformat(firing.decided_at))


def _met(item: Item, others: list[Firing]) -> list[Firing]:
    """Return the firings because of which `skip` drops a tick on time; none if it waits for a made-up run."""
    on_time = [one for one in others if not _made_up(item, one)]
    started = [one for one in on_time if one.outcome != "WAITING"]
    most = item.spec.max_instances
    if len(started) >= most:
        return started
    return on_time if len(on_time) == len(others) and len(on_time) >= most else []


def _judge_turn(
    raw: sqlite3.Connection,
    item: Item,
    scheduled: datetime,
    now: datetime,
    firing: Firing | None = None,
    *,
    is_behind: bool,
) -> Verdict:
    """Let a firing start if fewer than `max_instances` other firings run, or wait and go before it.

    Those that wait go oldest first; one that is made up for (`is_behind`) goes after those on time. It does
    not matter at which server the others wait.
    """
    most = item.spec.max_instances
    mine = None if firing is None else firing.firing_id
    others = [one for one in _in_the_way(raw, item, scheduled, now) if one.firing_id != mine]
    started = [one for one in others if one.outcome != "WAITING"]
    if len(started) >= most:
        return Verdict("WAITING", f"{_described(started)} (max_instances {most})")
    waiting = [one for one in others if one.outcome == "WAITING"]
    on_time = [one for one in waiting if not _made_up(item, one)]
    older = [one for one in (waiting if is_behind else on_time) if _is_before(one, scheduled, firing)]
    newer = [one for one in on_time if is_behind and one not in older]
    if len(started) + len(older) + len(newer) >= most:
        rule = "ticks on time go first" if newer else "the oldest goes first"
        return Verdict("WAITING", f"{_described(older + newer)}; {rule} (max_instances {most})")
    return START


def _in_the_way(
    raw: sqlite3.Connection, item: Item, scheduled: datetime, now: datetime, *, waits: bool = False
) -> list[Firing]:
    """Return the open firings of an item that count for its overlap rule; oldest first.

    What waits for other items does not run, perhaps for a day: it is in the way of nothing but of what waits
    for the same ones. A firing that waits (`waits`) may start tomorrow whatever runs today.
    """
    opened = [one for one in open_firings(raw, item.scheduler, item.id) if not lies_ahead(one, now)]
    if any(one.backfill for one in opened):
        apart = own_limits(raw, item.scheduler, item.id)
        is_held = bool(held_by(raw, item, now))
        opened = [one for one in opened if one.backfill not in apart]
        opened = [one for one in opened if not (one.backfill and is_held and one.outcome == "WAITING")]
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


def _outside_windows(item: Item, cause: Cause, verdict: Verdict, now: datetime) -> Verdict:
    """Let what might start now wait for the end of a window; what a person requested does not."""
    window = None if cause in BY_HAND or verdict.outcome != "QUEUED" else item.window_at(now)
    return verdict if window is None else Verdict("WAITING", waits_for_window(window))


def _judge_followed_of(raw: sqlite3.Connection, item: Item, firing: Firing, now: datetime) -> Verdict:
    """Look at what a firing follows, if it does: one by hand follows nothing."""
    return START if firing.cause in BY_HAND else judge_followed(raw, item, firing.scheduled, now)


def _replace(
    raw: sqlite3.Connection, others: list[Firing], most: int, scheduled: datetime, now: datetime
) -> None:
    """End the oldest of the open firings, so that one more is within `max_instances`."""
    reason = f"replaced by the firing of {utc_text(scheduled)}"
    for other in others[: max(len(others) - most + 1, 0)]:
        if other.cancel_reason or cancel_unstarted(raw, other.firing_id, reason, now):
            continue
        request_firing_cancel(raw, other.firing_id, reason)
        request_cancel(raw, other.run_id or "", reason, now)


def _described(firings: list[Firing]) -> str:
    if len(firings) == 1:
        one = firings[0]
        what = "waits" if one.outcome == "WAITING" else "has not ended"
        return f"run {one.run_id} of {utc_text(one.scheduled)} {what}"
    return f"{len(firings)} firings of the item are not over"
