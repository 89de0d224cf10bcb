"""Create the events that a scheduler reports about its firings from their rows."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    ScheduleNotice,
)
from aetherflow.scheduler.firing_decision import DecidedFirings, lateness
from aetherflow.store.firings import Firing

E = TypeVar("E", FiringScheduled, FiringMissed, FiringTakenOver, FiringFinished)


def decided_event(firing: Firing, at: datetime) -> FiringScheduled | FiringMissed:
    """Return what was decided about a tick."""
    if firing.outcome in ("QUEUED", "WAITING"):
        why = {"cause": firing.cause, "reason": firing.reason, "late_seconds": lateness(firing)}
        return _event(FiringScheduled, firing, at, **why)
    return _event(FiringMissed, firing, at, reason=firing.reason, ticks=firing.ticks)


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


def clock_went_back(decided: DecidedFirings, at: datetime) -> ScheduleNotice:
    """Return that the clock is before what was decided."""
    return ScheduleNotice(
        at=at,
        scheduler=decided.item.scheduler,
        item_id=decided.item.id,
        message=f"the clock went back by {decided.clock_behind} s; no tick is fired a second time",
    )
