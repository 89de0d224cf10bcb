"""Decide in one transaction which ticks of due items fire, are skipped or are missed.

Two servers that come to the same tick both run this; the second finds the tick decided, or its row there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from aetherflow.schedule.catch_up import Decision, NotRun, decide_due
from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import due_at, latest_ticks
from aetherflow.schedule.zone import instant, seconds
from aetherflow.scheduler.clock_ahead import CLOCK_BACK_SECONDS, ItemAhead, remove_if_decided_early
from aetherflow.scheduler.overlap import judge_new
from aetherflow.scheduler.paused_ticks import is_held
from aetherflow.scheduler.requested_tick import NO_PARAMS, held, open_tick, refuse_taken
from aetherflow.scheduler.settled_ticks import SettledTicks, name_settled_run, settled_ticks
from aetherflow.scheduler.window_ticks import decide_with_windows, in_window, is_held_by_window
from aetherflow.store.firings import BY_HAND, Cause, Firing, NewFiring, insert_firing
from aetherflow.store.pauses import Pause, pauses_of, read_pauses
from aetherflow.store.schedule_items import decided_to, set_decided_to
from aetherflow.store.stored_times import seconds_between

ROWS_PER_RANGE = 100
"""Ticks that do not run have a row each up to this number; of more, the earlier ones share one."""


class TicksNotRun(msgspec.Struct, frozen=True):
    """Ticks of an item that do not run for one reason, and the rows that this server has inserted."""

    some: NotRun
    firings: list[Firing]


class DecidedFirings(msgspec.Struct, frozen=True):
    """What was decided about one item.

    Attributes:
        decided: up to when its ticks are decided now.
        firings: the rows that this server has inserted.
        ahead: how far the ticks had been decided, if that is a time ahead of now.
        again: rows of a clock that was ahead, in whose place there are new ones.
        is_held: nothing is decided in a pause or a window, as the item catches up afterwards.
        not_run: those of `firings` whose ticks were late, or one with a later tick, by their reason.
    """

    item: Item
    decided: datetime
    firings: list[Firing]
    ahead: ItemAhead | None = None
    again: list[Firing] = []
    is_held: bool = False
    not_run: list[TicksNotRun] = []


class FiringDecider(msgspec.Struct, frozen=True):
    """Decides for one server, with its clock and its source of run ids."""

    server: str
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    def decide(self, raw: sqlite3.Connection, due: Sequence[tuple[Item, datetime]]) -> list[DecidedFirings]:
        """Decide about every due tick of some items of one scheduler, in a transaction of the caller.

        Each item comes with the time since when it is due. The clock is read inside the transaction: before
        it there may be a long wait for another process.
        """
        if not due:
            return []
        now = self.now()
        scheduler = due[0][0].scheduler
        known = decided_to(raw, scheduler, [item.id for item, _ in due])
        pauses = read_pauses(raw, scheduler)
        decided = [
            self._item(raw, item, known.get(item.id, now), since, now, pauses_of(pauses, item.id))
            for item, since in due
        ]
        set_decided_to(raw, scheduler, ((one.item.id, one.decided) for one in decided))
        return decided

    def _item(
        self,
        raw: sqlite3.Connection,
        item: Item,
        before: datetime,
        since: datetime,
        now: datetime,
        pauses: Sequence[Pause],
    ) -> DecidedFirings:
        if is_held(item, pauses, now) or is_held_by_window(item, now):
            return DecidedFirings(item, before, [], is_held=True)
        ahead = None
        if before > now + timedelta(seconds=CLOCK_BACK_SECONDS):
            # A clock that was ahead decided. Ticks with a row stay decided; the item must not sleep as long.
            ahead = ItemAhead(before, min(since, now) - timedelta(seconds=item.table.jitter_seconds + 1))
        start = ahead.since if ahead else before
        settled = settled_ticks(raw, item, start, now)
        decision = decide_due(item.table, item.policy, start, now, not_run=settled.not_run)
        if pauses or item.windows:
            decision = decide_with_windows(item, start, decision, pauses, now, settled=settled.not_run)
        decision = name_settled_run(decision, settled)
        again: list[Firing] = []

        def take_back(tick: datetime) -> None:
            old = remove_if_decided_early(raw, item, tick, now)
            again.extend([] if old is None else [old])

        firings = []
        not_run = [TicksNotRun(some, []) for some in decision.not_run]
        rows_of = {id(one.some): one.firings for one in not_run}
        for some, tick, ticks in _rows(item, decision, settled):
            take_back(tick)
            if (row := self._insert_not_run(raw, item, tick, ticks, some, now)) is not None:
                firings.append(row)
                rows_of[id(some)].append(row)
        has_coalesced = any(some.outcome == "coalesced" for some in decision.not_run)
        for run in decision.runs:
            take_back(run.tick)
            if seconds(run.tick) in settled:
                continue  # decided before the clock was put back
            cause: Cause = "catch_up" if run.is_late else "tick"
            verdict = judge_new(
                raw,
                item,
                run.tick,
                now,
                cause=cause,
                due_at_once=len(decision.runs),
                is_for_several=run is decision.runs[0] and has_coalesced,
            )
            new = NewFiring(
                item.scheduler,
                item.id,
                run.tick,
                cause,
                verdict.outcome,
                run_id=self.new_id() if verdict.counts else None,
                reason=verdict.reason,
                due_at=due_at(item.table, run.tick),
                priority=item.spec.priority,
                server=self.server,
            )
            if (row := insert_firing(raw, new, now)) is not None:
                firings.append(row)
        return DecidedFirings(item, decision.through, firings, ahead, again, not_run=not_run)

    def _insert_not_run(
        self, raw: sqlite3.Connection, item: Item, tick: datetime, ticks: int, some: NotRun, now: datetime
    ) -> Firing | None:
        outcome = "MISSED" if some.outcome == "missed" else "SKIPPED"
        reason = in_window(item.window_at(tick)) if some.outcome == "window" else some.reason
        if ticks > 1:
            reason += f" ({ticks} ticks from {utc_text(some.first)} on)"
        new = NewFiring(
            item.scheduler,
            item.id,
            tick,
            "tick",
            outcome,  # type: ignore[arg-type]  # one of the two
            reason=reason,
            due_at=due_at(item.table, tick),
            ticks=ticks,
            is_planned=some.is_planned,
        )
        return insert_firing(raw, new, now)

    def fire(
        self, raw: sqlite3.Connection, item: Item, at: datetime | None = None, params: str = NO_PARAMS
    ) -> Firing:
        """Fire an item by hand, now or for a time that has passed.

        A decider without the name of a server leaves the firing to any of them.

        Raises:
            TickTaken: the firing of that time has succeeded, or is open.
            LockHeld: the firing of that time would not run now.
        """
        now = self.now()
        verdict = judge_new(raw, item, at or now, now, cause="manual")
        new = NewFiring(
            item.scheduler,
            item.id,
            at or now,
            "manual",
            verdict.outcome,
            reason=verdict.reason,
            priority=item.spec.priority,
            server=self.server,
            params=params,
        )
        runs = verdict.outcome in ("QUEUED", "WAITING")
        if at is None:
            firing = insert_firing(raw, replace(new, run_id=self.new_id() if runs else None), now)
        else:
            refuse_taken(raw, item, at)
            if not runs:
                raise held(item, verdict.reason)
            firing = open_tick(raw, item, new, now, self.new_id)
        if firing is None:
            raise AssertionError("a manual firing takes the next free instant, or a tick that may run")
        return firing


def _rows(item: Item, decision: Decision, settled: SettledTicks) -> list[tuple[NotRun, datetime, int]]:
    """Return the rows of what does not run, with the number of ticks of each, oldest first."""
    rows: list[tuple[NotRun, datetime, int]] = []
    for some in decision.not_run:
        begin, end = seconds(some.first), seconds(some.last) + 1
        table, mine = item.ticks_that_run, settled
        if item.skips_in_windows:
            is_inside = some.outcome == "window"
            table = item.ticks_in_windows if is_inside else table
            mine = settled.only(partial(_is_in_window, item, is_inside))
        count = some.count - mine.between(begin, end)
        newest = mine.left_of(latest_ticks(table, begin, end, ROWS_PER_RANGE + len(mine)))[-ROWS_PER_RANGE:]
        if count > len(newest):
            shared = mine.left_of(latest_ticks(table, begin, newest[0], 1 + len(mine)))
            rows.append((some, instant(shared[-1]), count - len(newest)))
        rows += [(some, instant(tick), 1) for tick in newest]
    return rows


def _is_in_window(item: Item, inside: bool, tick: int) -> bool:  # noqa: FBT001 - for partial
    return (item.window_at(instant(tick)) is not None) == inside


def lateness(firing: Firing) -> float:
    """Return how many seconds after its time a firing was decided; one by hand has no time to be late for."""
    if firing.cause in BY_HAND:
        return 0.0
    return seconds_between(firing.due_at, firing.decided_at)
