"""Decide which of the ticks that are due or overdue run, are missed, or are coalesced.

After downtime, a suspended machine or a jump of the clock many ticks may be due at once. The policy says
which of them run:

    misfire_grace_seconds   a tick that is late by more is LATE; the grace begins when the jitter has passed.
                            None: nothing is ever late
    until_day_ends          a tick is in time until its local day is over, also where its grace is: for items
                            that have no time of their own, whose tick is at the start of each day, or of the
                            week or month that they follow
    coalesce                of several ticks in time only the newest runs, for all of them
    catch_up: none          late ticks are missed
              latest        the newest tick runs, late or not, for the late ones of the window
              all           every tick of the window runs, oldest first, whatever `coalesce` says
    catch_up_window_seconds how old a late tick may be to be caught up; None: any age
    catch_up_max            at most so many run at once, the newest; older ones are missed

Decisions go by ticks, not by the clock: all ticks up to `through` are decided, and the next decision begins
there. A clock that was put back therefore decides nothing twice; until it is past `through` nothing is due,
and `clock_behind_seconds` says so. The work does not grow with the length of the downtime: ticks that do not
run come as ranges with a count.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from aetherflow.schedule.jitter import jitter
from aetherflow.schedule.timetable import Timetable, count_ticks, latest_ticks, next_second
from aetherflow.schedule.zone import DAY, instant, seconds
from aetherflow.spec.schedule import CatchUp

_LONGEST_PERIOD = 33 * DAY
"""More than a month."""

NotRunOutcome = Literal["missed", "coalesced", "paused", "window"]


class CatchUpPolicy(msgspec.Struct, frozen=True):
    """The policy for due ticks; see the module."""

    misfire_grace_seconds: float | None = 300
    coalesce: bool = True
    catch_up: CatchUp = "none"
    catch_up_window_seconds: float | None = None
    catch_up_max: int = 100
    until_day_ends: bool = False


class Run(msgspec.Struct, frozen=True):
    """A tick that runs; `is_late` if it is caught up."""

    tick: datetime
    is_late: bool


class NotRun(msgspec.Struct, frozen=True):
    """Ticks that follow each other and do not run, for one reason.

    Attributes:
        first: the first of them, in UTC.
        last: the last of them; the same if there is one.
        count: how many there are.
        outcome: missed, coalesced into the run that follows, in a pause, or in a window.
        reason: a sentence for the person on call.
    """

    first: datetime
    last: datetime
    count: int
    outcome: NotRunOutcome
    reason: str

    @property
    def is_planned(self) -> bool:
        """Whether a person or the file says that they do not run, so that it is no warning."""
        return self.outcome in ("paused", "window")


class Decision(msgspec.Struct, frozen=True):
    """The decision about the ticks after the last decided one, up to and including `through`.

    Attributes:
        through: the newest tick that is decided now or was before: where the next decision begins.
        runs: oldest first.
        not_run: oldest first.
        clock_behind_seconds: how far the clock is before the last decided tick; 0 as a rule.
    """

    through: datetime
    runs: tuple[Run, ...] = ()
    not_run: tuple[NotRun, ...] = ()
    clock_behind_seconds: int = 0


def decide_due(
    table: Timetable,
    policy: CatchUpPolicy,
    decided: datetime,
    now: datetime,
    *,
    before: datetime | None = None,
    not_run: Collection[int] = (),
) -> Decision:
    """Decide about every tick later than `decided` that is due `now`.

    Args:
        table: the item's ticks.
        policy: the item's rules for late ticks.
        decided: `through` of the decision before; at first, when the item came into force.
        now: the wall time, aware.
        before: if given, leave out the ticks from then on.
        not_run: ticks, in seconds since 1970, of which it is settled that they do not run.
    """
    start, at = seconds(decided) + 1, seconds(now)
    end = _end_of_due(table, start, at)
    if end is not None and before is not None:
        newest = latest_ticks(table, start, min(end, ceiling(before)), 1)
        end = newest[0] + 1 if newest else None
    if end is None:
        return Decision(decided, clock_behind_seconds=max(0, start - 1 - at))
    in_time = _first_in_time(table, policy, start, at)
    caught_up = min(in_time, _window(policy, start, at))
    chosen = _chosen(table, policy, (caught_up, in_time, end), not_run)
    others = _not_run(table, policy, (start, caught_up, in_time, chosen[0] if chosen else end))
    return Decision(instant(end - 1), tuple(Run(instant(tick), tick < in_time) for tick in chosen), others)


def _end_of_due(table: Timetable, start: int, at: int) -> int | None:
    """Return the second after the newest tick that is due; None if none is.

    Ticks fire in their order: one whose jitter is over waits for one before it whose jitter is not.
    """
    surely = at - table.jitter_seconds + 1  # every tick before has had its jitter
    newest = latest_ticks(table, start, surely, 1)
    end = newest[0] + 1 if newest else None
    tick = next_second(table, max(start, surely) - 1)
    while tick is not None and tick + jitter(table.item, tick, table.jitter_seconds) <= at:
        end = tick + 1
        tick = next_second(table, tick)
    return end


def _first_in_time(table: Timetable, policy: CatchUpPolicy, start: int, at: int) -> int:
    """Return the first second whose ticks are not late."""
    grace = policy.misfire_grace_seconds
    if grace is None:
        return start
    first = at - math.floor(grace) - table.jitter_seconds
    if policy.until_day_ends:
        every_day = replace(table, calendar=None)
        first = min([first, *latest_ticks(every_day, at - _LONGEST_PERIOD, at + 1, 1)])
    return max(start, first)


def _window(policy: CatchUpPolicy, start: int, at: int) -> int:
    """Return the first second whose ticks are caught up however late they are."""
    if policy.catch_up == "none":
        return at + 1
    window = policy.catch_up_window_seconds
    return start if window is None else max(start, at - math.floor(window))


def _chosen(
    table: Timetable, policy: CatchUpPolicy, bounds: tuple[int, int, int], not_run: Collection[int]
) -> list[int]:
    """Return the ticks that run, oldest first, of those that are caught up or in time."""
    caught_up, in_time, end = bounds

    def latest(start: int, most: int) -> list[int]:
        found = latest_ticks(table, start, end, most + len(not_run))
        return [tick for tick in found if tick not in not_run][-most:] if not_run else found

    if policy.catch_up == "all":
        return latest(caught_up, policy.catch_up_max)
    if policy.coalesce:
        return latest(caught_up, 1)
    return latest(in_time, policy.catch_up_max) or latest(caught_up, 1)


def _not_run(
    table: Timetable, policy: CatchUpPolicy, bounds: tuple[int, int, int, int]
) -> tuple[NotRun, ...]:
    """Return the ticks before the first run: too late, caught up or in time, in this order."""
    start, caught_up, in_time, end = bounds
    coalesced: tuple[NotRunOutcome, str] = ("coalesced", "one run stands for all ticks that were due at once")
    too_many: tuple[NotRunOutcome, str] = (
        "missed",
        f"more than catch_up_maximum, {policy.catch_up_max}, were due at once",
    )
    found = []
    if start < caught_up:
        found.append(ticks_not_run(table, start, min(caught_up, end), "missed", _why_late(policy)))
    if policy.catch_up == "all" or policy.coalesce:
        found.append(
            ticks_not_run(table, caught_up, end, *(too_many if policy.catch_up == "all" else coalesced))
        )
    else:
        found.append(ticks_not_run(table, caught_up, min(in_time, end), *coalesced))
        found.append(ticks_not_run(table, in_time, end, *too_many))
    return tuple(some for some in found if some)


def ceiling(at: datetime) -> int:
    """Return the first whole second, since 1970, that is not before an instant."""
    return seconds(at) + (at.microsecond > 0)


def ticks_not_run(
    table: Timetable, start: int, end: int, outcome: NotRunOutcome, reason: str
) -> NotRun | None:
    """Return the ticks of [start, end), in seconds since 1970, as ones that do not run; None without any."""
    count = count_ticks(table, start, end) if start < end else 0
    if not count:
        return None
    first, last = next_second(table, start - 1), latest_ticks(table, start, end, 1)[0]
    return NotRun(instant(last if first is None else first), instant(last), count, outcome, reason)


def _why_late(policy: CatchUpPolicy) -> str:
    if policy.catch_up == "none" and policy.until_day_ends:
        return "its day was over before a server could run it"
    if policy.catch_up == "none":
        return f"late by more than misfire_grace_time, {policy.misfire_grace_seconds:g} s"
    return f"older than catch_up_window, {policy.catch_up_window_seconds:g} s"
