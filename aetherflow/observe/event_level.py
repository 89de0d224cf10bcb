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
    RunFinished,
    RunPersisted,
    StepFinished,
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
    if isinstance(event, JobStarted | JobFinished | StepStarted | StepFinished) and is_message(event.job_id):
        return _level_of_message(event)
    return _level_of_other(event)


def _level_of_other(event: Event) -> Level:
    match event:
        case Notice() | ScheduleNotice() | StepProgress():
            return event.level
        case RunPersisted() | EffectIntended() | EffectConfirmed():
            return "debug"
        case FiringFinished():
            return _LEVEL_OF_STATUS.get(event.outcome, "info")
        case ScheduleInvalid():
            return "error"
        case (
            StepRetrying()
            | CancelRequested()
            | FiringMissed(is_planned=False)
            | FiringTakenOver()
            | FiringLate(alert="late_start" | "late_end" | "long" | "never_ran")
        ):
            return "warning"
        case StepFinished() | JobFinished() | RunFinished():
            return _LEVEL_OF_STATUS.get(event.status, "info")
        case FiringScheduled():
            return "warning" if event.late_seconds >= LATE_SECONDS else "info"
        case _:
            return "info"


def _level_of_message(event: JobStarted | JobFinished | StepStarted | StepFinished) -> Level:
    """Return how much it matters what becomes of a message: one that is not due says nothing."""
    match event:
        case JobFinished(status="FAILED") | StepFinished(status="FAILED"):
            return "warning"
        case StepFinished(status="SUCCESS"):
            return "info"
        case _:
            return "debug"
