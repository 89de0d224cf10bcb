"""Create the events that a scheduler reports about its firings from their rows."""

from __future__ import annotations

from datetime import datetime

from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    ScheduleNotice,
)
from aetherflow.scheduler.firing_decision import DecidedFirings, lateness
from aetherflow.store.firings import Firing


def decided_event(firing: Firing, at: datetime) -> FiringScheduled | FiringMissed:
    """Return what was decided about a tick."""
    if firing.outcome in ("QUEUED", "WAITING"):
        return FiringScheduled(
            at=at,
            scheduler=firing.scheduler,
            run_id=firing.run_id or "",
            item_id=firing.item_id,
            scheduled_at=firing.scheduled,
            outcome=firing.outcome,
            cause=firing.cause,
            reason=firing.reason,
            late_seconds=lateness(firing),
        )
    return FiringMissed(
        at=at,
        scheduler=firing.scheduler,
        item_id=firing.item_id,
        scheduled_at=firing.scheduled,
        outcome=firing.outcome,  # type: ignore[arg-type]  # one that has no run
        reason=firing.reason,
        ticks=firing.ticks,
    )


def ended_event(firing: Firing, at: datetime) -> FiringFinished | FiringMissed:
    """Return how the run of a firing ended."""
    if firing.outcome in ("SKIPPED", "MISSED"):
        return FiringMissed(
            at=at,
            scheduler=firing.scheduler,
            item_id=firing.item_id,
            scheduled_at=firing.scheduled,
            outcome=firing.outcome,
            reason=firing.reason,
        )
    return FiringFinished(
        at=at,
        scheduler=firing.scheduler,
        run_id=firing.run_id or "",
        item_id=firing.item_id,
        scheduled_at=firing.scheduled,
        outcome=firing.outcome,  # type: ignore[arg-type]  # how a run ends
        reason=firing.reason,
    )


def taken_event(firing: Firing, at: datetime) -> FiringScheduled | FiringTakenOver:
    """Return that this server has a firing now; a manual one belonged to no server before."""
    if firing.cause == "manual" and not firing.server and firing.outcome in ("QUEUED", "WAITING"):
        return FiringScheduled(
            at=at,
            scheduler=firing.scheduler,
            run_id=firing.run_id or "",
            item_id=firing.item_id,
            scheduled_at=firing.scheduled,
            outcome=firing.outcome,
            cause="manual",
            reason=firing.reason,
        )
    return FiringTakenOver(
        at=at,
        scheduler=firing.scheduler,
        run_id=firing.run_id or "",
        item_id=firing.item_id,
        scheduled_at=firing.scheduled,
        outcome=firing.outcome,
        previous_server=firing.server.removeprefix("server:"),
    )


def clock_went_back(decided: DecidedFirings, at: datetime) -> ScheduleNotice:
    """Return that the clock is before what was decided."""
    return ScheduleNotice(
        at=at,
        scheduler=decided.item.scheduler,
        item_id=decided.item.id,
        message=f"the clock went back by {decided.clock_behind} s; no tick is fired a second time",
    )
