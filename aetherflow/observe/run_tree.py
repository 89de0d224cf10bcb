"""Compute the data of the live tree from the events of a run; its size is bounded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from aetherflow.errors import ErrorInfo
from aetherflow.events.run_events import (
    Event,
    JobFinished,
    JobStarted,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetrying,
    StepStarted,
    StepWaiting,
    progress_text,
    waits_for,
)
from aetherflow.observe.event_text import duration, one_line

MOST_JOBS = 100
"""How many ended jobs are remembered; more fit on no terminal."""


@dataclass
class StepView:
    """A step as it is shown; `line` is its progress or its program's last line, `why` explains the status."""

    step_type: str
    started: datetime
    status: str = "RUNNING"
    attempt: int = 1
    seconds: float = 0.0
    line: str = ""
    why: str = ""


@dataclass
class JobView:
    """A job as it is shown, with the steps that have begun, in order.

    Attributes:
        items: how many instances it has if it is a mapped job.
        item: of an instance, its item in few characters.
        done: how many of them have ended; unknown in a resumed run, which shows the others only.
    """

    started: datetime
    status: str = "RUNNING"
    seconds: float = 0.0
    why: str = ""
    items: int | None = None
    item: str = ""
    done: int | None = 0
    steps: dict[str, StepView] = field(default_factory=dict)


@dataclass
class RunTree:
    """A run as it is shown: running jobs, ended ones as far as they are remembered, and counts of all."""

    flow_id: str = ""
    run_id: str = ""
    status: str = "RUNNING"
    started: datetime | None = None
    ended: datetime | None = None
    jobs: dict[str, JobView] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0
    is_resumed: bool = False

    def apply(self, event: Event) -> None:
        """Take in one event; events may be missing (a slow terminal loses some), so nothing is assumed."""
        self.flow_id, self.run_id = event.flow_id, event.run_id
        self.started = self.started or event.at
        match event:
            case RunStarted() | RunResumed():
                self.started, self.is_resumed = event.at, isinstance(event, RunResumed)
            case RunFinished():
                self.status, self.ended = event.status, event.at
                self.counts = Counter(event.jobs)
                self.jobs = {id_: job for id_, job in self.jobs.items() if job.status != "RUNNING"}
            case JobStarted():
                items = None if event.items is None else len(event.items)
                done = None if self.is_resumed else 0
                self.jobs[event.job_id] = JobView(started=event.at, items=items, item=event.item, done=done)
            case JobFinished():
                self._end_job(event)
            case StepWaiting() | StepStarted() | StepRetrying() | StepFinished():
                self._apply_step(event)
            case StepOutput():
                self._show_line(event, event.text)
            case StepProgress():
                self._show_line(event, progress_text(event))

    def _show_line(self, event: StepOutput | StepProgress, text: str) -> None:
        job = self.jobs.get(event.job_id)
        step = job.steps.get(event.step_id) if job else None
        if step and step.status == "RUNNING" and (line := one_line(text.strip())):
            step.line = line

    def _apply_step(self, event: StepWaiting | StepStarted | StepRetrying | StepFinished) -> None:
        job = self.jobs.setdefault(event.job_id, JobView(started=event.at))
        step = job.steps.setdefault(event.step_id, StepView(step_type=event.step_type, started=event.at))
        step.attempt = max(step.attempt, event.attempt)
        match event:
            case StepWaiting():
                step.why = one_line(waits_for(event))
            case StepStarted():
                step.status, step.why = "RUNNING", ""
            case StepRetrying():
                step.why = f"retry in {duration(event.wait_seconds)}: {_why('', event.error)}"
            case StepFinished():
                step.status, step.seconds, step.line = event.status, event.duration_seconds, ""
                step.why = _why(event.reason, event.error)

    def _end_job(self, event: JobFinished) -> None:
        job = self.jobs.setdefault(event.job_id, JobView(started=event.at))
        job.status, job.why = event.status, _why(event.reason, event.error)
        job.seconds = (event.at - job.started).total_seconds()
        self.counts[event.status] += 1
        mapped = self.jobs.get(event.job_id.partition("[")[0])  # an instance is `load[3]`
        if mapped and mapped is not job and mapped.done is not None:
            mapped.done += 1
        over = len(self.jobs) > MOST_JOBS
        if over and (event.status != "FAILED" or self.counts["FAILED"] > MOST_JOBS):
            del self.jobs[event.job_id]
            self.forgotten += 1


def _why(reason: str, error: ErrorInfo | None) -> str:
    return one_line(f"{error.code}: {error.message}" if error else reason)
