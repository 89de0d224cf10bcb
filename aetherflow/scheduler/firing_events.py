"""Create the events that a scheduler reports about its firings from their rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    ScheduleEvent,
    ScheduleNotice,
)
from aetherflow.scheduler.clock_ahead import ItemAhead, described
from aetherflow.scheduler.firing_decision import DecidedFirings, lateness
from aetherflow.scheduler.recovery import Recovered
from aetherflow.store.firings import Firing

E = TypeVar("E", FiringScheduled, FiringMissed, FiringTakenOver, FiringFinished)


def decided_events(decided: DecidedFirings, at: datetime) -> list[FiringScheduled | FiringMissed]:
    """Return what was decided about the ticks of an item: one event for all that do not run for one reason.

    After a downtime there may be hundreds of them for each item; the rows have them one by one.
    """
    one_event_for = [some for some in decided.not_run if len(some.firings) > 1]
    in_groups = {firing.firing_id for some in one_event_for for firing in some.firings}
    planned = {one.firing_id for some in decided.not_run if some.some.is_planned for one in some.firings}
    runs = sum(firing.is_open for firing in decided.firings)
    found: list[FiringScheduled | FiringMissed] = [
        _event(
            FiringMissed,
            some.firings[-1],
            at,
            reason=some.some.reason,
            ticks=sum(firing.ticks for firing in some.firings),
            first_at=some.some.first,
            runs=runs,
            is_planned=some.some.is_planned,
        )
        for some in one_event_for
    ]
    return found + [
        decided_event(firing, at, is_planned=firing.firing_id in planned)
        for firing in decided.firings
        if firing.firing_id not in in_groups
    ]


def decided_event(
    firing: Firing, at: datetime, *, is_planned: bool = False
) -> FiringScheduled | FiringMissed:
    """Return what was decided about a tick; `is_planned` if a pause or a window keeps it from running."""
    if firing.outcome in ("QUEUED", "WAITING"):
        why = {"cause": firing.cause, "reason": firing.reason, "late_seconds": lateness(firing)}
        return _event(FiringScheduled, firing, at, **why)
    why = {"reason": firing.reason, "ticks": firing.ticks, "is_planned": is_planned}
    return _event(FiringMissed, firing, at, **why)


def ended_event(firing: Firing, at: datetime) -> FiringFinished | FiringMissed:
    """Return how the run of a firing ended."""
    if firing.outcome in ("SKIPPED", "MISSED"):
        return _event(FiringMissed, firing, at, reason=firing.reason)
    return _event(FiringFinished, firing, at, reason=firing.reason)


def taken_event(firing: Firing, at: datetime) -> FiringScheduled | FiringTakenOver:
    """Return that this server has a firing now; a manual one belonged to no server before."""
    if firing.cause == "manual" and not firing.server and firing.outcome in ("QUEUED", "WAITING"):
        return _event(FiringScheduled, firing, at, cause="manual", reason=firing.reason)
    return _event(FiringTakenOver, firing, at, previous_server=firing.server.removeprefix("server:"))


def _event(kind: type[E], firing: Firing, at: datetime, **fields: Any) -> E:
    """Return an event about a firing; one that was missed has no run."""
    return kind(
        at=at,
        scheduler=firing.scheduler,
        run_id="" if kind is FiringMissed else firing.run_id or "",
        item_id=firing.item_id,
        scheduled_at=firing.scheduled,
        outcome=firing.outcome,  # type: ignore[arg-type]  # the kind was chosen by it
        **fields,
    )


def decided_ahead(scheduler: str, ahead: Mapping[str, ItemAhead], at: datetime) -> ScheduleNotice:
    """Return that items were decided up to a time that has not come."""
    return ScheduleNotice(at=at, scheduler=scheduler, message=described(ahead, at), code="AF215")


def decided_again(old: Firing, at: datetime) -> ScheduleNotice:
    """Return that a tick is decided again that a clock ahead had judged not to run."""
    return ScheduleNotice(
        at=at,
        scheduler=old.scheduler,
        item_id=old.item_id,
        message=f"the tick of {old.scheduled_at[:19]}Z was {old.outcome} at {old.decided_at[:19]}Z by a "
        "clock that was ahead; it is decided again",
        code="AF216",
    )


def recovered_events(recovered: Recovered, at: datetime) -> list[ScheduleEvent]:
    """Return what has changed about the open firings of a schedule."""
    return [
        *(taken_event(firing, at) for firing in recovered.taken),
        *(_held(firing, at) for firing in recovered.held),
        *(decided_event(firing, at) for firing in recovered.ended),
    ]


def _held(firing: Firing, at: datetime) -> ScheduleNotice:
    """Return that a firing waits for its time, which has not come."""
    return ScheduleNotice(
        at=at,
        scheduler=firing.scheduler,
        item_id=firing.item_id,
        run_id=firing.run_id or "",
        message=f"the tick of {firing.scheduled_at[:19]}Z fired at {firing.decided_at[:19]}Z by a clock that "
        "was ahead, and its run has not started; it waits for its time",
        code="AF216",
    )
