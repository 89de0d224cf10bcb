"""The commands that the state machine returns and the executor performs. Pure data.

The machine turns those that need no work into events at once; the executor performs the others (`RunAttempt`,
`JoinAttempt`, `ScheduleRetry`, `CancelAttempt`, and `StartStep` of a step that needs slots) after their
events are durable.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from aetherflow.engine.ready_queue import JobInstance
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.plan.plan import StepPlan


class Command(msgspec.Struct, frozen=True, gc=False):
    """The base of all commands."""


class JobCommand(Command, frozen=True):
    """A command about one job, or one instance of a mapped job."""

    instance: JobInstance


class StartJob(JobCommand, frozen=True):
    """Begin a job, or continue it after a resume.

    Attributes:
        saw: the gate that is open, with the values that it read, in words.
    """

    items: e.Items | None = None
    saw: str = ""


class EndJob(JobCommand, frozen=True):
    """End a job, or an instance of it.

    Attributes:
        decided_by: the key of the flow that made the job SKIPPED before it began.
    """

    status: e.JobEnd
    reason: str = ""
    error: ErrorInfo | None = None
    outputs: dict[str, Any] = {}
    decided_by: Literal["", "when", "for_each"] = ""


class StartStep(JobCommand, frozen=True):
    """Begin the first attempt of a step; `number` is its place in the job."""

    number: int


class EndUnstartedStep(JobCommand, frozen=True):
    """End a step that does not run."""

    step: StepPlan
    status: e.StepEnd
    reason: str


class EndInterruptedStep(JobCommand, frozen=True):
    """End a step that was interrupted and does not run again (`on_interrupt`)."""

    number: int
    status: e.StepEnd
    reason: str = ""
    error: ErrorInfo | None = None


class RunAttempt(JobCommand, frozen=True):
    """Execute an attempt of a step (its start is durable by then)."""

    step: StepPlan
    attempt: int


class JoinAttempt(JobCommand, frozen=True):
    """Take up the attempt of a step that a worker has begun for an earlier process of the run.

    `number` is the place of the step in the job.
    """

    number: int


class ScheduleRetry(JobCommand, frozen=True):
    """Start another attempt of a step after a wait, in seconds."""

    step: StepPlan
    attempt: int
    seconds: float


class CancelAttempt(JobCommand, frozen=True):
    """Cancel the attempt that runs for this job instance, or the wait for one."""


class CancelRun(Command, frozen=True):
    """Cancel the run because of a rule of the flow."""

    reason: str
    cause: e.CancelCause


class StartHooks(Command, frozen=True):
    """Start the hooks, as all jobs have ended with this status."""

    status: e.RunEnd
    reason: str = ""


class EndRun(Command, frozen=True):
    """End the run, as all jobs and hooks have ended."""

    status: e.RunEnd
    reason: str = ""
