"""What some events of a run say, in a few words: what a step waits for, where it runs, how far it is."""

from __future__ import annotations

from aetherflow.events.run_events import LockAwaited, Notice, ResultRefused, StepProgress, StepWaiting

RESULT_REFUSED = "AF885"
"""The code under which a refused result is explained."""


def waits_for(event: StepWaiting) -> str:
    """Return what a step waits for, in words."""
    number = f"{event.slots} slot{'' if event.slots == 1 else 's'}"
    held = f", held by {'; '.join(event.held_by)}" if event.held_by else ""
    ahead = f", {event.ahead} ahead" if event.ahead else ""
    return f"waits for {number} of the pool {event.pool} ({event.size}){held}{ahead}"


def place_text(executor: str, worker: str, host: str) -> str:
    """Return where an attempt runs, in short: `dask:worker-1@host`."""
    return f"{executor}:{worker}@{host}"


def refused_text(attempt: int, executor: str, worker: str, host: str, reason: str) -> str:
    """Return whose result was refused and why; `worker` is empty if it is unknown."""
    place = place_text(executor, worker, host) if worker else f"a worker of {executor}"
    return f"a late result of attempt {attempt} from {place} was refused: {reason}"


def refused_notice(event: ResultRefused) -> Notice:
    """Return the notice that says the same, for what cannot be stored any more."""
    return Notice(
        at=event.at,
        flow_id=event.flow_id,
        run_id=event.run_id,
        job_id=event.job_id,
        step_id=event.step_id,
        step_type=event.step_type,
        attempt=event.attempt,
        level="warning",
        message=refused_text(event.attempt, event.executor, event.worker, event.host, event.reason),
        code=RESULT_REFUSED,
    )


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
