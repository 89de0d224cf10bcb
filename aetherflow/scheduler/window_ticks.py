"""Decide about the ticks of an item that are in windows (`not_between`); reads no database.

No item starts in one of its windows. A tick in a window is skipped, with the reason. If the item catches
up (`catch_up: latest` or `all`), nothing is decided until the window is over; then its catch-up rule decides.
What is due before a window, or was waiting, and would start in it, waits for its end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from aetherflow.schedule.catch_up import Decision, decide_due, ticks_not_run
from aetherflow.schedule.item import Item
from aetherflow.schedule.window import Window
from aetherflow.schedule.zone import seconds
from aetherflow.scheduler.paused_ticks import decide_with_pauses
from aetherflow.store.pauses import Pause

_SECOND = timedelta(seconds=1)


def is_held_by_window(item: Item, now: datetime) -> bool:
    """Whether nothing may be decided about an item now, as it catches up after its window."""
    return item.policy.catch_up != "none" and item.has_own_times and item.window_at(now) is not None


def decide_with_windows(
    item: Item,
    decided: datetime,
    due: Decision,
    pauses: Sequence[Pause],
    now: datetime,
    *,
    settled: Collection[int] = (),
) -> Decision:
    """Decide about the ticks later than `decided`; `due` is the decision if there were no window or pause.

    Of the `settled` ticks, in seconds since 1970, it is settled that they do not run.
    """
    if not item.skips_in_windows:
        return decide_with_pauses(item, decided, due, pauses, now, settled=settled) if pauses else due
    outside = replace(item, table=item.ticks_that_run, windows=())
    found = decide_due(
        outside.table, item.policy, decided, now, before=due.through + _SECOND, not_run=settled
    )
    if pauses:
        found = decide_with_pauses(outside, decided, found, pauses, now, settled=settled)
    why = in_window(item.windows[0] if len(item.windows) == 1 else None)
    inside = ticks_not_run(
        item.ticks_in_windows, seconds(decided) + 1, seconds(due.through) + 1, "window", why
    )
    not_run = sorted([*found.not_run, *([inside] if inside else [])], key=lambda some: some.first)
    return replace(due, runs=found.runs, not_run=tuple(not_run))


def in_window(window: Window | None) -> str:
    """Return why a tick in a window does not run."""
    return f"in {window}" if window is not None else "in a window (not_between)"


def waits_for_window(window: Window) -> str:
    """Return why a firing does not start now."""
    return f"waits for the end of {window}"
