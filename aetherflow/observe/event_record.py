"""Turn an event into a log record: its level, its name and a flat mapping of JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, Literal

import msgspec

from aetherflow.errors import UsageError
from aetherflow.events.run_events import (
    CancelRequested,
    EffectConfirmed,
    EffectIntended,
    Event,
    JobFinished,
    Notice,
    RunFinished,
    RunPersisted,
    RunResumed,
    StepFinished,
    StepProgress,
    StepRetrying,
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
_IDS = ("scheduler", "item_id", "flow_id", "run_id", "job_id", "step_id", "step_type", "attempt")
_ZERO_IS_EMPTY = frozenset({"attempt", "max_attempts", "recoveries", "was_interrupted", "is_planned"})
_DETAIL = frozenset(
    {"definition", "directory", "ending_count", "decisions", "decision_counts", "version", "items", "outputs"}
    | {"job_outputs", "reopened", "excluded_jobs", "when", "for_each", "saw", "plan"}
)


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


def name_of(event: Event) -> str:
    """Return the name of an event's record; the end of a run is its `run_summary`."""
    return "run_summary" if isinstance(event, RunFinished) else str(event.__struct_config__.tag)


def record(event: Event, *, detail: bool = False) -> dict[str, Any]:
    """Return an event as a flat record: timestamp, level, event, the ids that apply, its own fields.

    Empty fields (empty text, no error) are left out, the counts of a summary never. Outputs, items
    and fingerprints appear with `detail`.
    """
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    del fields["at"]
    fields.pop("level", None)
    values = {
        name: value
        for name, value in fields.items()
        if (detail or not _is_detail(event, name))
        and (not _is_empty(name, value) or isinstance(event, RunFinished))
    }
    if isinstance(event, RunFinished) and not event.reason:
        del values["reason"]
    head = {"timestamp": event.at.astimezone(UTC), "level": level_of(event), "event": name_of(event)}
    ids = {name: values.pop(name) for name in _IDS if name in values}
    plain: dict[str, Any] = msgspec.to_builtins(head | ids | values)
    return plain


def _is_detail(event: Event, name: str) -> bool:
    return name in _DETAIL or (name == "removed" and isinstance(event, RunResumed))


def _is_empty(name: str, value: Any) -> bool:
    return value is None or value in ("", {}, [], ()) or (name in _ZERO_IS_EMPTY and value == 0)
