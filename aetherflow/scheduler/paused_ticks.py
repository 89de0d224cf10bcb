"""Decide about the ticks of an item that is or was paused; reads no database.

While a pause holds, no tick runs. The ticks inside it are skipped, with the reason; so are earlier ones
that would run only now. If the item catches up (`catch_up: latest` or `all`), nothing is decided until the
pause is over, and then its catch-up rule decides.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from msgspec.structs import replace

from aetherflow.schedule.catch_up import Decision, NotRun, Run, ceiling, decide_due, ticks_not_run
from aetherflow.schedule.instant_text import local_text
from aetherflow.schedule.item import Item
from aetherflow.schedule.zone import instant, seconds
from aetherflow.store.pauses import Pause, pause_in_force


def is_held(item: Item, pauses: Sequence[Pause], now: datetime) -> bool:
    """Whether nothing may be decided about an item, as it catches up and is paused."""
    return item.policy.catch_up != "none" and pause_in_force(pauses, item.id, now) is not None


def decide_with_pauses(
    item: Item,
    decided: datetime,
    due: Decision,
    pauses: Sequence[Pause],
    now: datetime,
    *,
    settled: Collection[int] = (),
) -> Decision:
    """Decide about the ticks later than `decided`; `due` is the decision if there were no pause.

    Of the `settled` ticks, in seconds since 1970, it is settled that they do not run.
    """
    if item.policy.catch_up != "none":
        return due
    runs: list[Run] = []
    not_run: list[NotRun] = []
    since, end = decided, seconds(due.through) + 1
    for pause in pauses:
        earlier = decide_due(item.table, item.policy, since, now, before=pause.begin, not_run=settled)
        runs += earlier.runs
        not_run += earlier.not_run
        begin = max(seconds(max(since, earlier.through)) + 1, ceiling(pause.begin))
        stop = end if pause.end is None else min(end, ceiling(pause.end))
        inside = ticks_not_run(item.table, begin, stop, "paused", reason_of(pause)) if begin < stop else None
        not_run += [inside] if inside else []
        since = max(since, earlier.through, instant(stop - 1))
    later = decide_due(item.table, item.policy, since, now, not_run=settled)
    runs += later.runs
    not_run += later.not_run
    held = pause_in_force(pauses, item.id, now)
    if held is not None:
        why = reason_of(held)
        not_run = [
            replace(some, outcome="paused", reason=why) if some.outcome == "coalesced" else some
            for some in not_run  # no run stands for them
        ]
        not_run += [NotRun(run.tick, run.tick, 1, "paused", why) for run in runs]
        runs = []
    not_run.sort(key=lambda some: some.first)
    return replace(due, runs=tuple(runs), not_run=tuple(not_run))


def reason_of(pause: Pause, zone: str = "UTC") -> str:
    """Return why the ticks of a pause do not run; its end is on the clocks of the zone."""
    end = "" if pause.end is None or pause.resumed_by else f" until {local_text(pause.end, zone)}"
    return f"paused by {pause.paused_by}{end}: {pause.reason}"
