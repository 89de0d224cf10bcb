"""Compute what `run --dry-run` shows: the jobs in a possible order, each with the jobs it waits for."""

from __future__ import annotations

import heapq
from graphlib import TopologicalSorter

import msgspec

from aetherflow.errors import UsageError
from aetherflow.plan.plan import Plan, upstream


class JobOutline(msgspec.Struct, frozen=True):
    """One job: what must have succeeded, what must have ended, its gate and its steps (`id: type`)."""

    id: str
    needs: list[str]
    after: list[str]
    when: str
    steps: list[str]

    def __str__(self) -> str:
        conditions = []
        if self.needs:
            conditions.append(f"needs {', '.join(self.needs)}")
        if self.after:
            conditions.append(f"after {', '.join(self.after)}")
        if self.when:
            conditions.append(f"when {self.when}")
        head = f"{self.id}  [{'; '.join(conditions)}]" if conditions else self.id
        return "\n".join([head, *(f"    {step}" for step in self.steps)])


def outline(plan: Plan, flow_job: str = "") -> list[JobOutline]:
    """Return the jobs that would run, each after those it waits for, otherwise in file order.

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
            )
        )
        sorter.done(job.index)
        for following in sorter.get_ready():
            heapq.heappush(ready, following)
    return ordered
