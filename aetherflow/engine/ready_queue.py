"""Track which jobs may start next: open dependencies, a heap of ready jobs, what runs now. Pure.

Derived from the plan and the state, and updated with the state: a decision examines only what an event
touched, so that a run of 100,000 jobs takes linear time.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection

import msgspec

from aetherflow.engine.state import DONE, RunState
from aetherflow.events import run_events as e
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import JobPlan, Plan

QUICK_SECONDS = 0.01
"""A job whose last step ended within this time (s) lets another job start ahead: about what a slow disk takes
for a commit. Most programs take longer; so what counts as running works, unless jobs are tiny."""

WHOLE = -1
"""The item number of a job that is not an instance of a mapped job."""


def instance_id(job_id: str, item: int) -> str:
    """Return the job id of one instance of a mapped job: `extract[3]`."""
    return job_id if item == WHOLE else f"{job_id}[{item}]"


class JobInstance(msgspec.Struct, frozen=True, gc=False):
    """A job to execute: one of the plan, or one instance of a mapped job of it.

    Attributes:
        id: the job id under which its events appear.
    """

    job: JobPlan
    item: int
    id: str


def whole_job(job: JobPlan) -> JobInstance:
    """Return the instance of a job of the plan."""
    return JobInstance(job, WHOLE, job.id)


def mapped_instance(job: JobPlan, item: int) -> JobInstance:
    """Return one instance of a mapped job."""
    return JobInstance(job, item, instance_id(job.id, item))


def hook_instance(job: JobPlan, endings: int) -> JobInstance:
    """Return the instance of a hook: for each ending of a run another job, `@on_exit`, `@on_exit.2`."""
    return JobInstance(job, WHOLE, f"{job.id}.{endings + 1}" if endings else job.id)


class MappedJob(msgspec.Struct, gc=False):
    """How far a mapped job has come: the next item to start, how many run, how many have not ended."""

    total: int
    following: int = 0
    running: int = 0
    unfinished: int = 0


class ReadyQueue:
    """The jobs between those that have ended and those that wait for others.

    While jobs end quickly, others may start ahead of their turn to work: then many starts and ends share a
    commit. Those that wait for their turn count as running, so none starts ahead once a job has taken its
    time, none that a resume might not run again, and none of a flow that fails fast.

    Attributes:
        limit: how many jobs may work at the same time.
        running: the instances that run now, by job id.
        at_step: the number of the step that each of them has reached.
        mapped_jobs: the mapped jobs that run, by their index in the plan.
        blocked_by: a job that did not succeed, by the index of a job that needs it.
        unfinished: how many jobs of the plan that take part have not ended.
    """

    def __init__(
        self,
        plan: Plan,
        state: RunState,
        selected: Collection[int] | None,
        limit: int,
        most_ahead: int = 0,
    ) -> None:
        self.plan = plan
        self.limit = limit
        self._most_ahead = 0 if plan.flow.fail_fast else most_ahead
        self._ahead = 0
        self.running: dict[str, JobInstance] = {}
        self.at_step: dict[str, int] = {}
        self.mapped_jobs: dict[int, MappedJob] = {}
        self.blocked_by: dict[int, str] = {}
        self._selected = selected
        self.index = {job.id: job.index for job in plan.jobs}
        self._hooks = {job.id: job for job in plan.hooks}
        self._dependents: dict[int, list[int]] = {}
        self._open: list[int] = []
        self._ready: list[int] = []
        self.unfinished = 0
        self._build(state)

    def _build(self, state: RunState) -> None:
        ended = [state.job(job.id).status in DONE for job in self.plan.jobs]
        for job in self.plan.jobs:
            befores = [b for b in (*job.needs, *job.after) if self.is_selected(b) and not ended[b]]
            self._open.append(len(befores))
            if ended[job.index] or not self.is_selected(job.index):
                continue  # it is done, also when a job before it runs again
            self.unfinished += 1
            for before in befores:
                self._dependents.setdefault(before, []).append(job.index)
            for need in job.needs:
                is_settled = ended[need] or not self.is_selected(need)
                if is_settled and state.job(self.plan.jobs[need].id).status != "SUCCESS":
                    self.blocked_by.setdefault(job.index, self.plan.jobs[need].id)
            if not befores:
                self._ready.append(job.index)  # ascending, hence already a heap

    def is_selected(self, index: int) -> bool:
        """Whether this job takes part in the run."""
        return self._selected is None or index in self._selected

    def ready(self) -> JobPlan | None:
        """Return the first job, in file order, that waits for nothing more."""
        return self.plan.jobs[self._ready[0]] if self._ready else None

    @property
    def has_room(self) -> bool:
        """Whether another job may start beside those that run, if need be ahead of its turn."""
        return len(self.running) < self.limit + self._ahead

    def has_room_for(self, job: JobPlan) -> bool:
        """Whether this job may be the other one; ahead of its turn only if a resume runs each step again."""
        return len(self.running) < self.limit or (
            self.has_room and all(step.spec.on_interrupt == "rerun" for step in job.steps)
        )

    def note_pace(self, reported: e.Event) -> None:
        """Note whether the last step of a job ended quickly; it has not been applied to the state yet."""
        if not self._most_ahead or not isinstance(reported, e.StepFinished):
            return
        instance = self.running.get(reported.job_id)
        if instance is not None and self.at_step.get(instance.id) == len(instance.job.steps) - 1:
            is_quick = reported.duration_seconds < QUICK_SECONDS
            self._ahead = min(self._ahead + 1, self._most_ahead) if is_quick else 0

    def next_instance(self, *, beyond_limits: bool = False) -> JobInstance | None:
        """Return the next instance of a mapped job that may start, in file and item order."""
        if not self.mapped_jobs:
            return None
        startable = [
            index
            for index, mapped in self.mapped_jobs.items()
            if self._may_start(index, mapped, beyond_limits=beyond_limits)
        ]
        if not startable:
            return None
        index = min(startable)
        return mapped_instance(self.plan.jobs[index], self.mapped_jobs[index].following)

    def _may_start(self, index: int, mapped: MappedJob, *, beyond_limits: bool) -> bool:
        most = self.plan.jobs[index].max_parallel
        return mapped.following < mapped.total and (beyond_limits or most is None or mapped.running < most)

    def instance(self, job_id: str) -> JobInstance:
        """Return the instance that a job id names."""
        if (running := self.running.get(job_id)) is not None:
            return running
        if is_hook(job_id):
            name, _, number = job_id.partition(".")
            return hook_instance(self._hooks[name], int(number or 1) - 1)
        name, _, item = job_id.partition("[")
        job = self.plan.jobs[self.index[name]]
        return mapped_instance(job, int(item[:-1])) if item else whole_job(job)

    def advance(self, state: RunState, event: e.Event, instance: JobInstance | None) -> None:
        """Update the queue after an event, of this instance if it is a job's, was applied to the state."""
        if instance is None:
            return
        if isinstance(event, e.JobStarted):
            self._job_started(state, instance)
        elif isinstance(event, e.JobFinished):
            self._job_finished(state, instance, event)

    def _job_started(self, state: RunState, instance: JobInstance) -> None:
        if instance.item != WHOLE:
            mapped = self.mapped_jobs[instance.job.index]
            mapped.running += 1
            self._skip_begun(state, instance.job)
        else:
            self._leave_ready(instance.job.index)
            if instance.job.for_each is not None:
                self._open_mapped_job(state, instance.job)
                return
        self.running[instance.id] = instance

    def _open_mapped_job(self, state: RunState, job: JobPlan) -> None:
        items = state.jobs[job.id].items or []
        mapped = MappedJob(total=len(items))
        mapped.unfinished = sum(
            state.job(instance_id(job.id, i)).status not in DONE for i in range(mapped.total)
        )
        self.mapped_jobs[job.index] = mapped
        self._skip_begun(state, job)

    def _skip_begun(self, state: RunState, job: JobPlan) -> None:
        """Move on to the next instance that has not begun: a resume keeps those that have ended."""
        mapped = self.mapped_jobs[job.index]
        while (
            mapped.following < mapped.total
            and state.job(instance_id(job.id, mapped.following)).status != "PENDING"
        ):
            mapped.following += 1

    def _job_finished(self, state: RunState, instance: JobInstance, event: e.JobFinished) -> None:
        was_running = self.running.pop(instance.id, None) is not None
        self.at_step.pop(instance.id, None)
        if instance.item != WHOLE:
            mapped = self.mapped_jobs.get(instance.job.index)
            if mapped is None:
                return  # it had been left when its job ended
            mapped.unfinished -= 1
            mapped.running -= was_running
            self._skip_begun(state, instance.job)
            return
        if is_hook(instance.id):
            return
        index = instance.job.index
        self.mapped_jobs.pop(index, None)
        self._leave_ready(index)
        self.unfinished -= 1
        for dependent in self._dependents.get(index, ()):
            if (
                event.status != "SUCCESS"
                and dependent not in self.blocked_by
                and index in self.plan.jobs[dependent].needs
            ):
                self.blocked_by[dependent] = instance.id
            self._open[dependent] -= 1
            if not self._open[dependent]:
                heapq.heappush(self._ready, dependent)

    def _leave_ready(self, index: int) -> None:
        if self._ready and self._ready[0] == index:
            heapq.heappop(self._ready)
        elif index in self._ready:  # out of turn: a worker still has an attempt of it
            self._ready.remove(index)
            heapq.heapify(self._ready)
