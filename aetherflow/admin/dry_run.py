"""Compute what `run --dry-run` shows: the jobs in a possible order, each with the jobs it waits for."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from graphlib import TopologicalSorter

import msgspec

from aetherflow.check.place_words import place_words
from aetherflow.errors import UsageError
from aetherflow.plan.plan import Plan, upstream
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.spec.flow import LOCAL


class StepPlace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a step would run.

    Attributes:
        executor: `local` or another one, by the name that events call it by.
        runs_on: the label of the workers that may run it.
        resources: what it takes of what workers offer.
    """

    executor: str
    runs_on: str = ""
    resources: dict[str, float] = {}

    def __str__(self) -> str:
        return "; ".join(place_words([self.executor], filter(None, [self.runs_on]), self.resources))


class JobOutline(msgspec.Struct, frozen=True, omit_defaults=True):
    """One job: what must have succeeded, what must have ended, its gate and its steps (`id: type`).

    Attributes:
        places: where its steps run, by their ids; empty if all steps of the flow run in this process.
    """

    id: str
    needs: list[str]
    after: list[str]
    when: str
    steps: list[str]
    places: dict[str, StepPlace] = {}

    def __str__(self) -> str:
        conditions = []
        if self.needs:
            conditions.append(f"needs {', '.join(self.needs)}")
        if self.after:
            conditions.append(f"after {', '.join(self.after)}")
        if self.when:
            conditions.append(f"when {self.when}")
        head = f"{self.id}  [{'; '.join(conditions)}]" if conditions else self.id
        lines = [head]
        for step in self.steps:
            place = self.places.get(step.partition(":")[0])
            lines.append(f"    {step}" if place is None else f"    {step}  [{place}]")
        return "\n".join(lines)


def places_of(checked: CheckedFlow) -> dict[tuple[str, str], StepPlace]:
    """Return where the steps of the jobs run, by job and step; nothing if all run in this process."""
    if not checked.executors:
        return {}
    from aetherflow.runs.executors import StepPlaces  # noqa: PLC0415 - most flows are local

    plan, places = checked.plan, StepPlaces(checked)
    found: dict[tuple[str, str], StepPlace] = {}
    for job in plan.jobs:
        for step in job.steps:
            name = places.executor_of(job, step) if plan.may_leave(step) else ""
            found[job.id, step.id] = (
                StepPlace(name, step.spec.runs_on or "", step.spec.resources) if name else StepPlace(LOCAL)
            )
    return found if any(place.executor != LOCAL for place in found.values()) else {}


def outline(
    plan: Plan, flow_job: str = "", places: Mapping[tuple[str, str], StepPlace] | None = None
) -> list[JobOutline]:
    """Return the jobs that would run, each after those it waits for, otherwise in file order.

    `places` is where their steps run, see `places_of`.

    Raises:
        UsageError: the flow has no job `flow_job`.
    """
    names = [job.id for job in plan.jobs]
    if flow_job and flow_job not in names:
        raise UsageError(
            f"--flow-job {flow_job}: the flow has no such job", hint=f"its jobs are {', '.join(names)}"
        )
    chosen = upstream(plan, [flow_job]) if flow_job else set(range(len(names)))
    sorter = TopologicalSorter({i: {*plan.jobs[i].needs, *plan.jobs[i].after} & chosen for i in chosen})
    sorter.prepare()
    ready = sorted(sorter.get_ready())
    ordered: list[JobOutline] = []
    while ready:
        job = plan.jobs[heapq.heappop(ready)]
        ordered.append(
            JobOutline(
                id=job.id,
                needs=[names[i] for i in job.needs],
                after=[names[i] for i in job.after],
                when=job.when.text if job.when else "",
                steps=[f"{step.id}: {step.spec.type}" for step in job.steps],
                places={
                    step.id: places[job.id, step.id]
                    for step in job.steps
                    if places and (job.id, step.id) in places
                },
            )
        )
        sorter.done(job.index)
        for following in sorter.get_ready():
            heapq.heappush(ready, following)
    return ordered
