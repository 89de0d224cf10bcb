"""Describe a plan for the journal: its jobs and steps in order, with their lines. Pure."""

from __future__ import annotations

from collections.abc import Collection

from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.plan.plan import JobPlan, Plan

_NONE: list[str] = []
"""What all jobs that wait for no other share."""


def planned_jobs(plan: Plan, selected: Collection[int] | None) -> list[PlannedJob]:
    """Return the jobs that take part, in the order of the file, and the hooks after them.

    `selected` are indexes of jobs; None means all.
    """
    jobs = plan.jobs if selected is None else [job for job in plan.jobs if job.index in selected]
    return [_planned(plan, job) for job in (*jobs, *plan.hooks)]


def _planned(plan: Plan, job: JobPlan) -> PlannedJob:
    return PlannedJob(
        id=job.id,
        steps=[
            PlannedStep(id=step.id, type=step.spec.type, line=step.line, pool=step.spec.pool or "")
            for step in job.steps
        ],
        line=job.line,
        needs=[plan.jobs[index].id for index in job.needs] or _NONE,
        after=[plan.jobs[index].id for index in job.after] or _NONE,
        max_parallel=job.max_parallel or 0,
        is_mapped=job.for_each is not None,
    )
