"""Find who reads an output of a step: conditions, lists of items, inputs and outputs of the plan. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from aetherflow.language.reference import Reference
from aetherflow.plan.plan import JobPlan, Plan, StepPlan


def reader_of_output(job: JobPlan, step: StepPlan, key: str) -> str | None:
    """Return what reads an output of a step, in words: the first reader in its job, or None."""
    return _first((job,), {f"steps.{step.id}.{key}", f"steps.{step.id}.outputs.{key}"})


def reader_of_job_output(plan: Plan, job: JobPlan, key: str) -> str:
    """Return what reads an output of a job, in words: the first reader, or else the job itself."""
    everywhere = {f"jobs.{job.id}.outputs.{key}"}
    found = _first((job,), {f"job.outputs.{key}"}) or _first((*plan.jobs, *plan.hooks), everywhere)
    return found or f"job {job.id}"


def _first(jobs: Iterable[JobPlan], paths: Collection[str]) -> str | None:
    parts = (part for job in jobs for part in _parts(job))
    return next((name for name, read in parts if any(_reads(one, paths) for one in read)), None)


def _parts(job: JobPlan) -> Iterator[tuple[str, Iterable[Reference]]]:
    """Yield the parts of a job that read values: what they are called, and what they read."""
    if job.when is not None:
        yield f"the condition (when) of job {job.id}", job.when.references
    if job.for_each is not None:
        yield f"the for_each of job {job.id}", job.for_each.references
    for step in job.steps:
        yield f"an input of step {job.id}.{step.id}", step.inputs.references
        yield f"an output of step {job.id}.{step.id}", step.outputs.references


def _reads(reference: Reference, paths: Collection[str]) -> bool:
    """Whether a reference leads to one of the paths, to a part of it, or to what holds it."""
    name = ".".join(reference.path) + "."
    return any(name.startswith(f"{path}.") or f"{path}.".startswith(name) for path in paths)
