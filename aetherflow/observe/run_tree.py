"""Compute the data of the live tree from the events of a run; its size is bounded.

What runs is kept, since only so many jobs run at once. What has ended is counted, and only the last and the
first failed ones are kept: more fit on no terminal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aetherflow.errors import ErrorInfo
from aetherflow.events.event_words import place_text
from aetherflow.events.nested_steps import outer_step
from aetherflow.events.planned_jobs import PlannedJob, is_hook
from aetherflow.events.run_events import (
    Event,
    HooksStarted,
    JobFinished,
    JobStarted,
    LockAwaited,
    LockTaken,
    RunFinished,
    RunPersisted,
    RunResumed,
    RunStarted,
    StepEvent,
    StepFinished,
    StepOutput,
    StepPlaced,
    StepProgress,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from aetherflow.events.stale_readers import job_of
from aetherflow.observe.step_pace import Pace
from aetherflow.observe.tree_views import Fan, Holder, JobView, StepView, Wait, WaitKind
from aetherflow.ports import UsualTimes

MOST_FAILED = 100
"""How many failed jobs, and how many failed instances of each mapped job, are kept: the first ones."""

MOST_ENDED = 100
"""How many other jobs that have ended are kept: the last ones."""


@dataclass(slots=True)
class RunTree:
    """A run as it is shown.

    Attributes:
        pending: the jobs of the flow that have not begun, in its order.
        total: how many jobs the flow has, or takes part with; 0 if unknown.
        before: how many of them had ended before this execution of the run.
        running: the jobs that run; a mapped one has its instances.
        failed: the first ones that failed.
        ended: the last ones that ended otherwise.
        counts: how many jobs have ended, by status; neither instances nor hooks.
        hooks: the hooks, in the order in which they began.
        working: the steps that are in an attempt, as `job.step`.
        ending: the status with which the jobs ended, while the hooks run.
    """

    flow_id: str = ""
    run_id: str = ""
    selected_job: str = ""
    status: str = "RUNNING"
    started: datetime | None = None
    ended_at: datetime | None = None
    expected: UsualTimes = field(default_factory=UsualTimes)
    pending: dict[str, PlannedJob] = field(default_factory=dict)
    total: int = 0
    before: int = 0
    running: dict[str, JobView] = field(default_factory=dict)
    failed: dict[str, JobView] = field(default_factory=dict)
    ended: dict[str, JobView] = field(default_factory=dict)
    hooks: dict[str, JobView] = field(default_factory=dict)
    working: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    ending: str = ""
    _step_counts: dict[str, int] = field(default_factory=dict)
    _kept_instances: dict[str, int] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Take in one event; events may be missing (a slow terminal loses some), so nothing is assumed."""
        match event:
            case StepOutput():
                if step := self._step(event):
                    step.text = event.text
            case StepProgress():
                if step := self._step(event):
                    step.pace = step.pace or Pace()
                    step.pace.report(event)
            case StepEvent():
                self._apply_step(event)
            case JobStarted():
                self._start_job(event)
            case JobFinished():
                self._end_job(event)
            case _:
                self._apply_to_run(event)
        if self.started is None:
            self.flow_id, self.run_id, self.started = event.flow_id, event.run_id, event.at

    def _apply_to_run(self, event: Event) -> None:
        match event:
            case RunStarted() | RunResumed():
                self._begin(event)
            case RunPersisted():
                for job_id in event.kept_jobs:
                    self.before += self.pending.pop(job_id, None) is not None
                self._kept_instances = event.kept_instances
            case HooksStarted():
                self.ending = event.status
            case RunFinished():
                self.status, self.ended_at = event.status, event.at
                self.running.clear()
                self.pending.clear()
            case _:
                pass

    def _begin(self, event: RunStarted | RunResumed) -> None:
        self.flow_id, self.run_id, self.started = event.flow_id, event.run_id, event.at
        self.selected_job = event.selected_job
        jobs = {job.id: job for job in event.plan if not is_hook(job.id)}
        self.pending, self.total = jobs, len(jobs)
        self._step_counts = {job.id: len(job.steps) for job in event.plan}

    def _view(self, job_id: str) -> JobView | None:
        """Return the job, or the instance, if it runs."""
        if is_hook(job_id):
            return self.hooks.get(job_id)
        if (job := self.running.get(job_id)) is not None:
            return job
        mapped = self.running.get(job_of(job_id))
        return None if mapped is None or mapped.fan is None else mapped.fan.running.get(job_id)

    def _step(self, event: StepEvent) -> StepView | None:
        job = self._view(event.job_id)
        step = job.steps.get(outer_step(event.step_id, job.steps.__contains__)) if job else None
        return step if step and step.status == "RUNNING" else None

    def _start_job(self, event: JobStarted) -> None:
        name = job_of(event.job_id)
        self.pending.pop(name, None)
        view = JobView(event.at, item=event.item, step_count=self._step_counts.get(name, 0))
        mapped = self.running.get(name)
        if is_hook(name):
            self.hooks[name] = view
        elif name == event.job_id:
            if event.items is not None:
                view.fan = Fan(len(event.items), before=self._kept_instances.get(name, 0))
            self.running[name] = view
        elif mapped is not None and mapped.fan is not None:
            mapped.fan.running[event.job_id] = view
            mapped.fan.begun = mapped.fan.begun or event.at
        else:
            self.running[event.job_id] = view

    def _apply_step(self, event: StepEvent) -> None:
        job = self._view(event.job_id)
        if job is None:
            return
        step = job.steps.get(event.step_id)
        if step is None:
            step = job.steps[event.step_id] = StepView(event.step_type, event.at)
        step.attempt = max(step.attempt, event.attempt)
        name = f"{event.job_id}.{event.step_id}"
        match event:
            case StepWaiting() | LockAwaited() | LockTaken():
                self._apply_wait(event, job, step)
            case StepStarted():
                if step.attempt > 1 or step.wait is not None:
                    step.started, step.pace, step.text = event.at, None, ""
                step.status, step.place = "RUNNING", ""
                self.working.add(name)
                self._wait(
                    event, job, step, Wait(WaitKind.WORKER, event.executor) if event.executor else None
                )
            case StepPlaced():
                step.status, step.started = "RUNNING", event.at
                step.place = place_text(event.executor, event.worker, event.host)
                self.working.add(name)
                self._wait(event, job, step, None)
            case StepRetrying():
                self.working.discard(name)
                step.status, step.pace = "PENDING", None
                words = (
                    f"attempt {event.attempt}{_of(event.max_attempts)}: {_problem(event.error, step.text)}"
                )
                step.text = ""
                until = event.at + timedelta(seconds=event.wait_seconds)
                self._wait(event, job, step, Wait(WaitKind.RETRY, words=words, until=until))
            case StepFinished():
                self.working.discard(name)
                step.status, step.seconds = event.status, event.duration_seconds
                step.why = _problem(event.error, step.text) if event.error else event.reason
                step.pace, step.text = None, ""
                self._wait(event, job, step, None)
            case _:
                pass

    def _apply_wait(self, event: StepWaiting | LockAwaited | LockTaken, job: JobView, step: StepView) -> None:
        match event:
            case StepWaiting():
                step.status = "PENDING"
                held = tuple(map(self._holder, event.held_by))
                self._wait(event, job, step, Wait(WaitKind.POOL, event.pool, held, event.ahead))
            case LockAwaited():
                held = (self._holder(event.held_by),)
                self._wait(event, job, step, Wait(WaitKind.LOCK, event.lock, held))
            case LockTaken():
                self._wait(event, job, step, None)

    def _holder(self, name: str) -> Holder:
        of_run = f"{self.flow_id}, run {self.run_id}, "
        return Holder(name.removeprefix(of_run), name.startswith(of_run))

    def _wait(self, event: StepEvent, job: JobView, step: StepView, wait: Wait | None) -> None:
        """Note what a step waits for, or that it waits no longer; count it if its job is an instance."""
        step.wait = wait
        self._count_wait(event.job_id, job, wait)

    def _count_wait(self, job_id: str, job: JobView, wait: Wait | None) -> None:
        if wait is job.wait is None:
            return
        mapped = self.running.get(job_of(job_id))
        if mapped is not None and mapped is not job and mapped.fan is not None:
            waits = mapped.fan.waits
            if job.wait is not None:
                waits[job.wait.kind, job.wait.name] -= 1
            if wait is not None:
                waits[wait.kind, wait.name] += 1
        job.wait = wait

    def _end_job(self, event: JobFinished) -> None:
        name = job_of(event.job_id)
        job = self._view(event.job_id) or JobView(event.at)
        job.status = event.status
        job.why = _problem(event.error, "") if event.error else event.reason
        job.seconds = (event.at - job.started).total_seconds()
        if is_hook(name):
            self.hooks[name] = job
            return
        mapped = self.running.get(name)
        if name != event.job_id and mapped is not None and mapped.fan is not None:
            self._count_wait(event.job_id, job, None)
            mapped.fan.running.pop(event.job_id, None)
            mapped.fan.ended[event.status] += 1
            if event.status == "FAILED" and len(mapped.fan.failed) < MOST_FAILED:
                mapped.fan.failed[event.job_id] = job
            return
        self.pending.pop(event.job_id, None)
        self.running.pop(event.job_id, None)
        self.counts[event.status] += 1
        if job.fan is not None:
            job.fan.running.clear()
            job.fan.waits.clear()
        if event.status == "FAILED":
            if len(self.failed) < MOST_FAILED:
                self.failed[event.job_id] = job
            return
        self.ended[event.job_id] = job
        if len(self.ended) > MOST_ENDED:
            del self.ended[next(iter(self.ended))]


def _of(number: int) -> str:
    return f" of {number}" if number else ""


def _problem(error: ErrorInfo, last_line: str) -> str:
    """Return what went wrong, in one line; of a program its last line before its exit code."""
    code = error.detail.get("exit_code") if error.kind == "exit_code" else None
    if code is None:
        return f"{error.code}: {error.message.partition(chr(10))[0]}"
    said = f"{last_line.strip()}; " if last_line.strip() else ""
    return f"{error.code}: {said}exit code {code}"
