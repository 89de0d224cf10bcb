"""Going on with a run: what is kept, what runs again, which kept steps are now defined otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from aetherflow.engine.frontier import instance_id
from aetherflow.engine.plan import JobPlan, Plan, downstream
from aetherflow.engine.state import DONE, JobState, RunState
from aetherflow.errors import UsageError


class Resumption(msgspec.Struct, frozen=True):
    """How a run goes on; each entry is `job` or `job.step`.

    Attributes:
        rerun: earlier successes that count no more.
        kept: finished steps and skipped jobs that are not run again.
        again: what had not been finished, with its status.
        changed: kept steps whose definition is another one than the one they ran with.
    """

    rerun: list[str]
    kept: list[str]
    again: list[str]
    changed: list[str]


def plan_resumption(plan: Plan, state: RunState, rerun: Sequence[str] = ()) -> Resumption:
    """Say how the run goes on with this plan.

    A job that its gate skipped is looked at again when a job before it runs again: the gate may open now.

    Raises:
        UsageError: `rerun` names what the flow does not have.
    """
    named = _named(plan, state, rerun)
    reopened = {job.id for job in plan.jobs if state.job(job.id).status not in DONE}
    gated = [
        plan.jobs[index].id
        for index in sorted(downstream(plan, reopened))
        if _was_skipped_unopened(state.job(plan.jobs[index].id))
    ]
    again_named = list(dict.fromkeys([*named, *gated]))
    names = set(again_named)
    kept: list[str] = []
    again: list[str] = []
    changed: list[str] = []
    for job in plan.jobs:
        for job_id in _instances(job, state):
            _sort_out(job, job_id, state, names, kept, again, changed)
    return Resumption(again_named, kept, again, changed)


def _was_skipped_unopened(job: JobState) -> bool:
    """Whether a job was skipped by its gate, or for want of items: nothing of it has begun."""
    return job.status == "SKIPPED" and not job.steps and job.items is None


def _instances(job: JobPlan, state: RunState) -> list[str]:
    items = state.job(job.id).items
    return [job.id] if items is None else [instance_id(job.id, number) for number in range(len(items))]


def _named(plan: Plan, state: RunState, rerun: Sequence[str]) -> list[str]:
    """Return the jobs and steps that `--rerun` names, and all that follows them."""
    names: list[str] = []
    jobs = {job.id: job for job in plan.jobs}
    for wanted in rerun:
        job, step_id = _job_and_step(jobs, wanted)
        if job is None:
            raise UsageError(
                f"--rerun {wanted}: the flow has no such job or step",
                hint=f"give JOB or JOB.STEP; the jobs are {', '.join(list(jobs)[:20])}",
            )
        step_ids = [step.id for step in job.steps]
        first = step_ids.index(step_id) if step_id else 0
        for instance in _instances(job, state):
            names += [f"{instance}.{later}" for later in step_ids[first:]] if first else [instance]
        for index in sorted(downstream(plan, [job.id]) - {job.index}):
            names += [plan.jobs[index].id, *_instances(plan.jobs[index], state)]
        if not first or job.for_each is not None:  # instances run again only within their job
            names.append(job.id)
    return list(dict.fromkeys(names))


def _job_and_step(jobs: Mapping[str, JobPlan], wanted: str) -> tuple[JobPlan | None, str]:
    """Return the job, and the step if one is named, of `JOB` or `JOB.STEP`; both ids may hold dots."""
    if wanted in jobs:
        return jobs[wanted], ""
    parts = wanted.split(".")
    for length in range(len(parts) - 1, 0, -1):
        job, step_id = jobs.get(".".join(parts[:length])), ".".join(parts[length:])
        if job is not None and any(step.id == step_id for step in job.steps):
            return job, step_id
    return None, ""


def _sort_out(
    job: JobPlan,
    job_id: str,
    state: RunState,
    rerun: set[str],
    kept: list[str],
    again: list[str],
    changed: list[str],
) -> None:
    known = state.job(job_id)
    reopens = (
        known.status not in DONE
        or job_id in rerun
        or any(f"{job_id}.{step_id}" in rerun for step_id in known.steps)
    )
    if known.status == "SKIPPED" and not known.steps and job_id not in rerun:
        kept.append(f"{job_id} ({known.status})")
    for step in job.steps:
        name = f"{job_id}.{step.id}"
        ended = known.steps.get(step.id)
        if ended is None:
            continue
        if ended.status not in DONE and reopens:
            status = "INTERRUPTED" if ended.status == "RUNNING" else ended.status
            again.append(f"{name} ({status})")
        elif job_id in rerun or name in rerun:
            again.append(f"{name} (--rerun)")
        else:
            kept.append(f"{name} ({ended.status})")
            if ended.definition and ended.definition != step.fingerprint():
                changed.append(name)
