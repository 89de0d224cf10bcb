"""What some events of a run say, in a few words: what a step waits for, where it runs, how far it is."""

from __future__ import annotations

from aetherflow.events.run_events import LockAwaited, StepProgress, StepWaiting


def waits_for(event: StepWaiting) -> str:
    """Return what a step waits for, in words."""
    number = f"{event.slots} slot{'' if event.slots == 1 else 's'}"
    held = f", held by {'; '.join(event.held_by)}" if event.held_by else ""
    ahead = f", {event.ahead} ahead" if event.ahead else ""
    return f"waits for {number} of the pool {event.pool} ({event.size}){held}{ahead}"


def place_text(executor: str, worker: str, host: str) -> str:
    """Return where an attempt runs, in short: `dask:worker-1@host`."""
    return f"{executor}:{worker}@{host}"


def waits_for_lock(event: LockAwaited) -> str:
    """Return which lock a step waits for, in words."""
    since = f" since {event.since}" if event.since else ""
    return f"waits for the lock {event.lock}, held by {event.held_by}{since}"


def progress_text(event: StepProgress) -> str:
    """Return how far a step has come, in words: `1,200 of 5,000 rows (24 %), sales.csv`."""
    unit = f" {event.unit}" if event.unit else ""
    if event.total is None:
        done = f"{event.done:,.15g}{unit}"
    else:
        share = f" ({event.done / event.total:.0%})".replace("%", " %") if event.total > 0 else ""
        done = f"{event.done:,.15g} of {event.total:,.15g}{unit}{share}"
    return f"{done}, {event.note}" if event.note else done
