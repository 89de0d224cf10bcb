"""Know which of the ticks that are due have a row already: a clock was put back, or a person fired them.

Such a tick is not decided a second time, and what is decided about those before it must agree with its row:
a run that stands for several ticks is one that exists.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from aetherflow.schedule.catch_up import Decision, NotRun
from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import next_tick
from aetherflow.schedule.zone import instant, seconds
from aetherflow.scheduler.clock_ahead import ONE_SECOND, was_decided_early
from aetherflow.store.firings import firings_between


class SettledTicks(msgspec.Struct, frozen=True):
    """The ticks of an item that keep their row, in seconds since 1970.

    Attributes:
        runs: those with a run, and its id.
        not_run: those without one.
    """

    runs: Mapping[int, str] = {}
    not_run: frozenset[int] = frozenset()

    def __contains__(self, tick: int) -> bool:
        """Whether a tick keeps its row."""
        return tick in self.runs or tick in self.not_run

    def __len__(self) -> int:
        return len(self.runs) + len(self.not_run)

    def left_of(self, ticks: list[int]) -> list[int]:
        """Return those of some ticks that have no row."""
        return [tick for tick in ticks if tick not in self] if len(self) else ticks

    def only(self, chosen: Callable[[int], bool]) -> SettledTicks:
        """Return those for which `chosen` holds."""
        runs = {tick: run_id for tick, run_id in self.runs.items() if chosen(tick)}
        return SettledTicks(runs, frozenset(filter(chosen, self.not_run)))

    def between(self, begin: int, end: int) -> int:
        """Return how many there are in [begin, end)."""
        return sum(begin <= tick < end for tick in (*self.runs, *self.not_run))


def settled_ticks(raw: sqlite3.Connection, item: Item, after: datetime, now: datetime) -> SettledTicks:
    """Return the ticks later than `after`, up to now, whose rows stay; as a rule there are none.

    What a clock ahead judged not to run is decided again.
    """
    begin, end = after + timedelta(microseconds=1), now + ONE_SECOND
    found = firings_between(raw, item.scheduler, item.id, begin, end)
    rows = {
        seconds(one.scheduled): one.run_id
        for one in found
        if next_tick(item.table, one.scheduled - ONE_SECOND) == one.scheduled
        and not was_decided_early(one, now)
    }
    runs = {tick: run_id for tick, run_id in rows.items() if run_id}
    return SettledTicks(runs, frozenset(rows.keys() - runs.keys()))


def name_settled_run(decision: Decision, settled: SettledTicks) -> Decision:
    """Let ticks that are coalesced into a run of an earlier decision name that run."""
    if not settled.runs:
        return decision
    return replace(decision, not_run=tuple(_named(some, decision, settled) for some in decision.not_run))


def _named(some: NotRun, decision: Decision, settled: SettledTicks) -> NotRun:
    newer = [seconds(run.tick) for run in decision.runs if run.tick > some.last]
    run_id = settled.runs.get(newer[0]) if newer else None
    if some.outcome != "coalesced" or run_id is None:
        return some
    return replace(some, reason=f"run {run_id} of {utc_text(instant(newer[0]))} stands for it")
