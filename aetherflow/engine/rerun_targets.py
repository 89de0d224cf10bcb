"""Parse `--rerun JOB[.STEP]` and `--only JOB`: which jobs, instances and steps run again. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import msgspec

from aetherflow.engine.ready_queue import WHOLE, instance_id
from aetherflow.engine.state import DONE, RunState, step_entry
from aetherflow.errors import UsageError
from aetherflow.plan.plan import JobPlan, Plan, followers

JOBS_LISTED = 20
"""How many jobs a hint names."""


class RerunTargets(NamedTuple):
    """The entries, as the journal names them, that run again, and the finished jobs that continue for it."""

    rerun: list[str]
    reopened: list[str]


class _Target(msgspec.Struct, frozen=True):
    """What `JOB`, `JOB.STEP`, `JOB[n]` or `JOB[n].STEP` names."""

    job: JobPlan
    item: int = WHOLE
    step_id: str = ""


def rerun_targets(
    plan: Plan, state: RunState, rerun: Sequence[str], option: str, selected: Collection[int] | None
) -> RerunTargets:
    """Return what `rerun` names, with all jobs that depend on it.

    Raises:
        UsageError: it names what the flow does not have, or what takes no part in this run.
    """
    entries: list[str] = []
    reopened: list[str] = []
    jobs = {job.id: job for job in plan.jobs}
    named: list[str] = []
    for text in rerun:
        target = _target(jobs, state, text)
        if target is None:
            raise UsageError(
                f"{option} {text}: the flow has no such job or step",
                hint=f"give JOB or JOB.STEP; {_known_jobs(plan)}",
            )
        job = target.job
        if selected is not None and job.index not in selected:
            raise UsageError(
                f"{option} {text}: the job {job.id} takes no part in this run",
                hint="--flow-job had limited the run: resume it without, with run --run-id",
            )
        step_ids = [step.id for step in job.steps]
        first = step_ids.index(target.step_id) if target.step_id else 0
        is_one = target.item != WHOLE
        for job_id in [instance_id(job.id, target.item)] if is_one else instances_of(job, state):
            later = (step_entry(job_id, step) for step in step_ids[first:])
            entries += later if first else [job_id]
        named.append(job.id)
        if is_one:
            reopened.append(job.id)
        elif not first or job.for_each is not None:  # instances run again only within their job
            entries.append(job.id)
    for index in sorted(followers(plan, named)) if named else ():
        entries += [plan.jobs[index].id, *instances_of(plan.jobs[index], state)]
    return RerunTargets(list(dict.fromkeys(entries)), list(dict.fromkeys(reopened)))


def only_target(plan: Plan, state: RunState, job_id: str, selected: Collection[int] | None) -> list[str]:
    """Return the entries that `--only` names: the job with its instances.

    Raises:
        UsageError: the flow has no such job, or a job that it needs has not succeeded.
    """
    job = next((job for job in plan.jobs if job.id == job_id), None)
    if job is None:
        raise UsageError(f"--only {job_id}: the flow has no such job", hint=_known_jobs(plan))
    for index in job.needs:
        needed = plan.jobs[index].id
        if (selected is None or index not in selected) and state.job(needed).status not in DONE:
            status = state.job(needed).status
            raise UsageError(
                f"--only {job_id}: it needs the job {needed}, which is {status}",
                hint=f"run that one first: --from {needed}, or --only {needed}",
            )
    return [job_id, *instances_of(job, state)]


def instances_of(job: JobPlan, state: RunState) -> list[str]:
    """Return the id of a job, or the ids of all its instances, including those of an earlier, longer list."""
    if job.for_each is None:
        return [job.id]
    items = state.job(job.id).items
    number = 0 if items is None else len(items)
    while instance_id(job.id, number) in state.jobs:
        number += 1
    return [instance_id(job.id, item) for item in range(number)] if number or items is not None else [job.id]


def _known_jobs(plan: Plan) -> str:
    return f"the jobs are {', '.join(job.id for job in plan.jobs[:JOBS_LISTED])}"


def _target(jobs: Mapping[str, JobPlan], state: RunState, text: str) -> _Target | None:
    """Return what is named; ids of jobs and of steps may hold dots, but no brackets."""
    if text in jobs:
        return _Target(jobs[text])
    name, bracket, rest = text.partition("[")
    if bracket:
        number, bracket, rest = rest.partition("]")
        job = jobs.get(name)
        known = None if job is None or job.for_each is None else state.job(name).items
        if job is None or known is None or number not in map(str, range(len(known))):
            return None
        is_step = any(rest == f".{step.id}" for step in job.steps)
        return _Target(job, int(number), rest[1:]) if is_step or (bracket and not rest) else None
    parts = text.split(".")
    for length in range(len(parts) - 1, 0, -1):
        job, step_id = jobs.get(".".join(parts[:length])), ".".join(parts[length:])
        if job is not None and any(step.id == step_id for step in job.steps):
            return _Target(job, step_id=step_id)
    return None
