"""Fold events into the metrics for Prometheus: one update of a dictionary for an event, most events none.

One fold serves all runs of a process and its scheduler, so it remembers nothing of a run but when a tick was
due. It calls nothing that blocks, and needs no thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from aetherflow.events.run_events import (
    Event,
    JobFinished,
    RunEnd,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
    StepRetrying,
)
from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringLate,
    FiringMissed,
    FiringScheduled,
    ScheduleInvalid,
    ScheduleLoaded,
    ScheduleUpcoming,
    UpcomingItem,
)
from aetherflow.observe import metric_definitions as m
from aetherflow.observe.metric_values import MetricValues

RUN_ENDS: tuple[RunEnd, ...] = get_args(RunEnd)
OUTCOMES = (*RUN_ENDS, "SKIPPED", "MISSED", "PAUSED")
MOST_OPEN = 10_000
"""How many ticks may wait for their run, and runs for their tick; as many as a run pool may queue."""


class MetricsFold:
    """An observer of runs and of a scheduler; each of them may have the same one.

    Attributes:
        values: what it folds into.
    """

    def __init__(self, values: MetricValues | None = None) -> None:
        self.values = values if values is not None else MetricValues()
        self._due: dict[str, tuple[str, datetime]] = {}
        self._begun: dict[str, datetime] = {}
        self._folds: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            RunResumed: self._run_resumed,
            RunFinished: self._run_finished,
            JobFinished: self._job_finished,
            StepFinished: self._step_finished,
            StepRetrying: self._step_retrying,
            FiringScheduled: self._firing_scheduled,
            FiringMissed: self._firing_missed,
            FiringFinished: self._firing_finished,
            FiringLate: self._firing_late,
            ScheduleLoaded: self._schedule_loaded,
            ScheduleUpcoming: self._schedule_upcoming,
            ScheduleInvalid: self._schedule_invalid,
        }

    async def __call__(self, events: Sequence[Event]) -> None:
        """Fold a batch of events."""
        folds = self._folds
        for event in events:
            if (fold := folds.get(type(event))) is not None:
                fold(event)

    async def aclose(self) -> None:
        """Do nothing: others may still use it."""

    def _run_started(self, event: RunStarted) -> None:
        self._begin(event.flow_id)
        due = self._due.pop(event.run_id, None)
        if due is not None:
            self._delayed(*due, event.at)
        elif event.scheduled_at:
            _keep(self._begun, event.run_id, event.at)

    def _run_resumed(self, event: RunResumed) -> None:
        self._begin(event.flow_id)
        by = "server" if event.origin == "serve" else "person"
        self.values.add(m.RUNS_RESUMED, event.flow_id, by)

    def _begin(self, flow: str) -> None:
        for status in RUN_ENDS:  # Prometheus sees an increase only of a counter that it saw before
            self.values.add(m.RUNS, flow, status, number=0)
        self.values.add(m.RUNS_STARTED, flow)

    def _run_finished(self, event: RunFinished) -> None:
        self.values.add(m.RUNS, event.flow_id, event.status)
        self.values.observe(m.RUN_DURATION, event.flow_id, seconds=event.duration_seconds)
        succeeded = event.status == "SUCCESS"
        self.values.run_ended(event.flow_id, event.at.timestamp(), succeeded=succeeded)

    def _job_finished(self, event: JobFinished) -> None:
        self.values.add(m.JOBS, event.flow_id, event.status)

    def _step_finished(self, event: StepFinished) -> None:
        self.values.add(m.STEPS, event.flow_id, event.status)
        if event.status != "SKIPPED":
            self.values.observe(
                m.STEP_DURATION, event.step_type, event.status, seconds=event.duration_seconds
            )

    def _step_retrying(self, event: StepRetrying) -> None:
        self.values.add(m.STEP_RETRIES, event.flow_id, event.step_type)

    def _firing_scheduled(self, event: FiringScheduled) -> None:
        if event.cause != "tick":
            return
        due = event.at - timedelta(seconds=event.late_seconds)
        # The events of a run and those of its tick come by two ways, in any order.
        begun = self._begun.pop(event.run_id, None)
        if begun is not None:
            self._delayed(event.scheduler, due, begun)
        else:
            _keep(self._due, event.run_id, (event.scheduler, due))

    def _delayed(self, scheduler: str, due: datetime, begun: datetime) -> None:
        seconds = max((begun - due).total_seconds(), 0.0)
        self.values.observe(m.SCHEDULE_DELAY, scheduler, seconds=seconds)

    def _firing_missed(self, event: FiringMissed) -> None:
        outcome = "PAUSED" if event.is_planned else event.outcome
        self.values.add(m.FIRINGS, event.scheduler, event.item_id, outcome, number=event.ticks)

    def _firing_finished(self, event: FiringFinished) -> None:
        self._due.pop(event.run_id, None)
        self._begun.pop(event.run_id, None)
        self.values.add(m.FIRINGS, event.scheduler, event.item_id, event.outcome)
        if event.outcome == "SUCCESS":
            self.item_succeeded(event.scheduler, event.item_id, event.at.timestamp())

    def item_succeeded(self, scheduler: str, item: str, at: float) -> None:
        """Set when the last run of an item ended that succeeded, unless a later one is known."""
        if at >= (self.values.number(m.ITEM_LAST_SUCCESS, scheduler, item) or 0):
            self.values.set(m.ITEM_LAST_SUCCESS, scheduler, item, number=at)

    def _firing_late(self, event: FiringLate) -> None:
        self.values.add(
            m.FIRINGS_LATE, event.scheduler, event.item_id, event.alert, number=max(event.ticks, 1)
        )

    def _schedule_loaded(self, event: ScheduleLoaded) -> None:
        self.values.set(m.RELOAD_OK, event.scheduler, number=1)
        self.values.set(m.RELOAD_TIME, event.scheduler, number=event.at.timestamp())
        self._new_items(event.scheduler, event.upcoming)
        for item in event.removed:
            self.values.forget(m.ITEM_LAST_SUCCESS, event.scheduler, item)

    def _schedule_upcoming(self, event: ScheduleUpcoming) -> None:
        self._new_items(event.scheduler, event.upcoming)

    def _new_items(self, scheduler: str, items: Iterable[UpcomingItem]) -> None:
        for item in items:
            for outcome in OUTCOMES:
                self.values.add(m.FIRINGS, scheduler, item.item_id, outcome, number=0)

    def _schedule_invalid(self, event: ScheduleInvalid) -> None:
        self.values.set(m.RELOAD_OK, event.scheduler, number=0)


def _keep(known: dict[str, Any], run_id: str, value: object) -> None:
    """Keep a value; of too many the oldest one is dropped."""
    known[run_id] = value
    if len(known) > MOST_OPEN:
        del known[next(iter(known))]
