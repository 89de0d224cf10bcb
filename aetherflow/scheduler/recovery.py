"""Recover open firings: those that wait, those of dead servers, those that were cancelled."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from datetime import datetime

import msgspec
from msgspec.structs import replace

from aetherflow.schedule.item import Schedule
from aetherflow.scheduler.clock_ahead import lies_ahead
from aetherflow.scheduler.overlap import judge_waiting
from aetherflow.store.firings import (
    Firing,
    close_firing,
    move_firing,
    open_firings,
    release_firing,
    take_over,
)
from aetherflow.store.served_files import is_alive

ITEM_REMOVED = "the item is no longer in the scheduler file"
NOT_YET = "its time has not come: a clock that was ahead fired it"


class Recovered(msgspec.Struct, frozen=True):
    """What has changed about the open firings of a schedule.

    Attributes:
        taken: firings taken over from other servers, as they were.
        queued: firings of ours that may start.
        ended: firings of ours that are over without having run.
        cancelled: run ids of ours that were cancelled, and why.
        held: firings of ours that wait for their time from now on: a clock that was ahead fired them.
    """

    taken: list[Firing]
    queued: list[Firing]
    ended: list[Firing]
    cancelled: list[tuple[str, str]]
    held: list[Firing] = []


def needs_recovery(
    raw: sqlite3.Connection,
    schedule: Schedule,
    server: str,
    now: datetime,
    submitted: Collection[str],
    left: Collection[int],
) -> bool:
    """Whether there is anything to do; only reads.

    `submitted` are the runs that are queued or executed here, `left` the firings to leave to other servers.
    """
    live: dict[str, bool] = {server: True}
    for firing in open_firings(raw, schedule.id):
        if firing.firing_id in left and firing.server != server:
            continue
        if firing.server not in live:
            live[firing.server] = bool(firing.server) and is_alive(raw, firing.server, now)
        if not live[firing.server]:
            return True
        if firing.server == server and (
            firing.outcome == "WAITING"
            or firing.cancel_reason
            or (firing.outcome == "QUEUED" and (firing.run_id not in submitted or lies_ahead(firing, now)))
        ):
            return True
    return False


def recover(
    raw: sqlite3.Connection, schedule: Schedule, server: str, now: datetime, left: Collection[int] = ()
) -> Recovered:
    """Take over the firings without a live server, but those `left` to others; judge again what waits."""
    taken = take_over(raw, schedule.id, server, now, left)
    for firing in taken:
        if firing.outcome == "RUNNING":
            move_firing(raw, firing.firing_id, server, "QUEUED", "its server died; the run is resumed")
    queued: list[Firing] = []
    ended: list[Firing] = []
    cancelled: list[tuple[str, str]] = []
    held: list[Firing] = []
    for firing in open_firings(raw, schedule.id):
        if firing.server != server:
            continue
        if firing.cancel_reason and firing.run_id:
            cancelled.append((firing.run_id, firing.cancel_reason))
        if firing.firing_id in left:
            release_firing(raw, firing.firing_id, server)
            continue
        if lies_ahead(firing, now):
            held += _hold(raw, firing, server)
        elif firing.outcome == "WAITING":
            _judge(raw, schedule, server, firing, now, queued, ended)
        elif firing.outcome == "QUEUED":
            queued.append(firing)
    return Recovered(taken, queued, ended, cancelled, held)


def _hold(raw: sqlite3.Connection, firing: Firing, server: str) -> list[Firing]:
    """Let a firing wait for its time; return it unless it does so already."""
    if (firing.outcome, firing.reason) == ("WAITING", NOT_YET):
        return []
    move_firing(raw, firing.firing_id, server, "WAITING", NOT_YET)
    return [firing]


def _judge(
    raw: sqlite3.Connection,
    schedule: Schedule,
    server: str,
    firing: Firing,
    now: datetime,
    queued: list[Firing],
    ended: list[Firing],
) -> None:
    item = schedule.items.get(firing.item_id)
    if item is None:
        close_firing(raw, firing.firing_id, server, "SKIPPED", ITEM_REMOVED, now)
        ended.append(replace(firing, outcome="SKIPPED", reason=ITEM_REMOVED))
        return
    verdict = judge_waiting(raw, item, firing, now)
    if verdict.outcome in ("SKIPPED", "MISSED"):
        close_firing(raw, firing.firing_id, server, verdict.outcome, verdict.reason, now)
        ended.append(replace(firing, outcome=verdict.outcome, reason=verdict.reason))
    elif verdict.outcome == "QUEUED":
        move_firing(raw, firing.firing_id, server, "QUEUED")
        queued.append(replace(firing, outcome="QUEUED", reason=""))
    elif verdict.reason != firing.reason:
        move_firing(raw, firing.firing_id, server, "WAITING", verdict.reason)
