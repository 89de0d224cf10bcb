"""The transition tables: which status of a run, a job or a step may follow after which event. Pure.

`aetherflow.engine.state` explains the machine; `aetherflow.engine.state_diagram` draws these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aetherflow.events import run_events as e

INTERRUPTED = "INTERRUPTED"
"""A PENDING step whose attempt was cut off when its process died: no stored status, see `RunState`."""

Table = Mapping[tuple[str, type[e.Event]], frozenset[str]]
"""From a status and a kind of event to the statuses that may follow; what is missing cannot happen."""

RUN_TABLE: Table = {
    ("NEW", e.RunStarted): frozenset({"RUNNING"}),
    ("RUNNING", e.CancelRequested): frozenset({"RUNNING"}),
    ("RUNNING", e.HooksStarted): frozenset({"RUNNING"}),
    ("RUNNING", e.RunFinished): frozenset({"SUCCESS", "FAILED", "CANCELLED"}),
    ("RUNNING", e.RunResumed): frozenset({"RUNNING"}),  # its process died
    ("SUCCESS", e.RunResumed): frozenset({"RUNNING"}),
    ("FAILED", e.RunResumed): frozenset({"RUNNING"}),
    ("CANCELLED", e.RunResumed): frozenset({"RUNNING"}),
}
JOB_TABLE: Table = {
    ("PENDING", e.JobStarted): frozenset({"RUNNING"}),
    ("PENDING", e.JobFinished): frozenset({"FAILED", "SKIPPED", "BLOCKED", "CANCELLED"}),
    ("RUNNING", e.JobFinished): frozenset({"SUCCESS", "FAILED", "SKIPPED", "CANCELLED"}),
}
STEP_TABLE: Table = {
    ("PENDING", e.StepWaiting): frozenset({"PENDING"}),
    ("PENDING", e.StepStarted): frozenset({"RUNNING"}),
    ("PENDING", e.StepFinished): frozenset({"SKIPPED", "CANCELLED"}),
    (INTERRUPTED, e.StepWaiting): frozenset({INTERRUPTED}),
    (INTERRUPTED, e.StepStarted): frozenset({"RUNNING"}),
    (INTERRUPTED, e.StepFinished): frozenset({"FAILED", "SKIPPED", "CANCELLED"}),
    ("RUNNING", e.StepPlaced): frozenset({"RUNNING"}),
    ("RUNNING", e.StepRetrying): frozenset({"PENDING"}),
    ("RUNNING", e.LockAwaited): frozenset({"RUNNING"}),
    ("RUNNING", e.LockTaken): frozenset({"RUNNING"}),
    ("RUNNING", e.EffectIntended): frozenset({"RUNNING"}),
    ("RUNNING", e.EffectConfirmed): frozenset({"RUNNING"}),
    ("RUNNING", e.StepFinished): frozenset({"SUCCESS", "FAILED", "SKIPPED", "CANCELLED"}),
    ("PENDING", e.ResultRefused): frozenset({"PENDING"}),  # it waits for its next attempt
    ("RUNNING", e.ResultRefused): frozenset({"RUNNING"}),
    ("SUCCESS", e.ResultRefused): frozenset({"SUCCESS"}),
    ("FAILED", e.ResultRefused): frozenset({"FAILED"}),
    ("SKIPPED", e.ResultRefused): frozenset({"SKIPPED"}),
    ("CANCELLED", e.ResultRefused): frozenset({"CANCELLED"}),
}

PARENT: Literal["RUNNING"] = "RUNNING"
"""What the run must be for an event of a job, and the job for an event of a step."""

RESUMED_JOBS: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"PENDING"}),
    "RUNNING": frozenset({"PENDING", "RUNNING"}),  # RUNNING: a hook of an ending that is over
    "SUCCESS": frozenset({"SUCCESS", "PENDING"}),  # PENDING: named by `rerun` or `reopened`
    "SKIPPED": frozenset({"SKIPPED", "PENDING"}),
    "FAILED": frozenset({"PENDING", "FAILED"}),  # FAILED: it takes no part, or is such a hook
    "BLOCKED": frozenset({"PENDING", "BLOCKED"}),
    "CANCELLED": frozenset({"PENDING", "CANCELLED"}),
}
"""What `RunResumed` makes of a job: the likelier status first."""

RESUMED_STEPS: Mapping[str, frozenset[str]] = {
    "PENDING": frozenset({"PENDING"}),
    INTERRUPTED: frozenset({INTERRUPTED, "PENDING"}),  # PENDING: named by `rerun`
    "RUNNING": frozenset(
        {INTERRUPTED, "PENDING", "RUNNING"}
    ),  # RUNNING: it is reattached, or its job does not run again
    "SUCCESS": frozenset({"SUCCESS", "PENDING"}),
    "SKIPPED": frozenset({"SKIPPED", "PENDING"}),
    "FAILED": frozenset({"PENDING", "FAILED"}),  # FAILED: its job does not run again
    "CANCELLED": frozenset({"PENDING", "CANCELLED"}),
}
"""What `RunResumed` makes of a step."""


class IllegalEvent(Exception):
    """An event that cannot happen in this state: a bug in the engine or a damaged journal."""


def check_transition(table: Table, status: str, event: e.Event, next_status: str) -> None:
    """Let an event pass that the table allows.

    Raises:
        IllegalEvent: it does not.
    """
    if next_status not in table.get((status, type(event)), ()):
        kind = type(event).__name__
        raise IllegalEvent(f"{described(event)} is {status}: {kind} to {next_status} cannot happen")


def check_parent(status: str, event: e.JobEvent) -> None:
    """Let an event of a job, or of a step, pass if the run, or the job, has the status that this needs.

    Raises:
        IllegalEvent: it has not.
    """
    if status != PARENT:
        parent = "its job" if isinstance(event, e.StepEvent) else "its run"
        raise IllegalEvent(f"{described(event)}: {type(event).__name__} while {parent} is {status}")


def described(event: e.Event) -> str:
    """Return what an event is about, in words."""
    match event:
        case e.StepEvent():
            return f"step {event.job_id}.{event.step_id} of run {event.run_id}"
        case e.JobEvent():
            return f"job {event.job_id} of run {event.run_id}"
        case _:
            return f"run {event.run_id}"
