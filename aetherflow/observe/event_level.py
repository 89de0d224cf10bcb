"""Say how much an event matters, for the log and the displays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aetherflow.errors import UsageError
from aetherflow.events.occasions import is_message
from aetherflow.events.run_events import (
    CancelRequested,
    EffectConfirmed,
    EffectIntended,
    Event,
    JobFinished,
    JobStarted,
    Notice,
    ResultRefused,
    RunFinished,
    RunPersisted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetrying,
    StepStarted,
)
from aetherflow.events.schedule_events import (
    FiringFinished,
    FiringLate,
    FiringMissed,
    FiringScheduled,
    FiringTakenOver,
    ScheduleInvalid,
    ScheduleNotice,
)

Level = Literal["debug", "info", "warning", "error"]

SEVERITY: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}

LATE_SECONDS = 1.0
"""From this delay on a firing counts as late."""

_LEVEL_OF_STATUS: Mapping[str, Level] = {"FAILED": "error", "BLOCKED": "warning", "CANCELLED": "warning"}

_ALWAYS: Mapping[type[Event], Level] = {
    RunPersisted: "debug",
    EffectIntended: "debug",
    EffectConfirmed: "debug",
    JobStarted: "info",
    StepStarted: "info",
    StepRetrying: "warning",
    ResultRefused: "warning",
    CancelRequested: "warning",
    FiringTakenOver: "warning",
    ScheduleInvalid: "error",
}
"""The kinds that have one level."""

_OF_JOBS = (JobStarted, JobFinished, StepStarted, StepFinished)


def parse_level(name: str) -> Level:
    """Return the level that a setting names, in any case.

    Raises:
        UsageError: there is no such level.
    """
    for level in SEVERITY:
        if name.lower() == level:
            return level
    raise UsageError(f"unknown log level {name!r}", hint=f"use one of {', '.join(SEVERITY)}")


def level_of(event: Event) -> Level:
    """Return how much an event matters."""
    if isinstance(event, _OF_JOBS) and is_message(event.job_id):
        return _level_of_message(event)
    if (level := _ALWAYS.get(type(event))) is not None:
        return level
    match event:
        case StepFinished() | JobFinished() | RunFinished():
            return _LEVEL_OF_STATUS.get(event.status, "info")
        case Notice() | ScheduleNotice() | StepProgress() | StepOutput():
            return event.level
        case FiringFinished():
            return _LEVEL_OF_STATUS.get(event.outcome, "info")
        case FiringScheduled():
            return "warning" if event.late_seconds >= LATE_SECONDS else "info"
        case (
            FiringMissed(is_planned=False)
            | FiringLate(alert="late_start" | "late_end" | "long" | "never_ran")
        ):
            return "warning"
        case _:
            return "info"


def _level_of_message(event: JobStarted | JobFinished | StepStarted | StepFinished) -> Level:
    """Return how much it matters what becomes of a message: one that is not due says nothing."""
    match event:
        case JobFinished(status="FAILED" | "CANCELLED") | StepFinished(status="FAILED"):
            return "warning"
        case StepFinished(status="SUCCESS"):
            return "info"
        case _:
            return "debug"
