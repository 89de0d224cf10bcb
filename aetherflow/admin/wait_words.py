"""Say what a step waited for, where it ran, and which results were refused.

The words are the same in `runs show`, `explain` and `runs export`.
"""

from __future__ import annotations

from aetherflow.events.event_words import place_text, refused_text
from aetherflow.observe.event_text import duration
from aetherflow.store.queries import PlaceRow, RefusedRow, WaitRow
from aetherflow.store.stored_times import seconds_between


def place_words(place: PlaceRow) -> str:
    """Return where an attempt runs or ran, as `dask:worker-1@host`, or what it waits for."""
    if place.begun_at is None:
        return f"a worker of {place.executor}"
    return place_text(place.executor, place.worker, place.host)


def refused_words(one: RefusedRow) -> str:
    """Return whose result was refused and why: `a late result of attempt 1 from dask:worker-1@host ...`."""
    return refused_text(one.attempt, one.executor, one.worker, one.host, one.reason)


def wait_words(wait: WaitRow, *, goes_on: bool) -> str:
    """Return how long a step waited, for what, and who held it: `waited 2.00 s for the lock L, held by X`.

    Args:
        wait: a wait for slots of a pool, or for a lock.
        goes_on: whether the step waits still; else a wait that has no end was in vain.
    """
    seconds = seconds_between(wait.since, wait.ended_at)
    held = f", held by {'; '.join(wait.held_by)}" if wait.held_by else ""
    slots = f"{wait.slots} slot{'' if wait.slots == 1 else 's'}"
    what = f"the lock {wait.lock}" if wait.lock else f"{slots} of the pool {wait.pool} ({wait.size})"
    if seconds is not None:
        how_long = f"waited {duration(seconds)}"
    else:
        how_long = "waits" if goes_on else "waited in vain"
    return f"{how_long} for {what}{held}"
