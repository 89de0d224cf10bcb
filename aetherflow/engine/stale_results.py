"""Find stale results: what a resume keeps although something that it had read runs again, or has. Pure.

A job reads the jobs that it needs (their outputs, files, tables), and those that its templates and its
condition name; a step also reads the earlier steps of its job. Who began later is in the state (`began`), so
a result stays stale over all resumes until its job or step runs again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter

import msgspec

from aetherflow.engine.rerun_targets import instances_of
from aetherflow.engine.state import DONE, JobState, RunState, StepState, step_entry
from aetherflow.language.reference import Reference
from aetherflow.plan.plan import JobPlan, Plan, StepPlan


class _Stale(msgspec.Struct, frozen=True):
    """A kept result: the reader, and what ran again after it had read that."""

    reader: str
    read: list[str]


def stale_results(plan: Plan, state: RunState, again: Collection[str] = frozenset()) -> dict[str, list[str]]:
    """Return the stale results of a run by reader, with what it had read.

    There is one at most for each job, in an order in which the jobs depend. A reader is `job`, `job[n]`,
    `job/step` or `job[n]/step`, and so is what it had read.

    A result is stale too if it had read a stale one.

    Args:
        plan: the flow as it is now.
        state: the run.
        again: the jobs, instances and steps (`step_entry`) that will run again in a resume that is planned.
    """
    finder = _Finder(plan, state, again)
    edges = {job.index: (*job.needs, *job.after) for job in plan.jobs}
    for index in TopologicalSorter(edges).static_order():
        finder.examine(plan.jobs[index])
    return {one.reader: one.read for one in finder.found.values()}


class _Finder(msgspec.Struct, eq=False):
    """Examines one job after the other; `found` has the stale ones by job id."""

    plan: Plan
    state: RunState
    again: Collection[str]
    found: dict[str, _Stale] = {}
    index: Mapping[str, int] = {}

    def __post_init__(self) -> None:
        self.index = {job.id: job.index for job in self.plan.jobs}

    def examine(self, job: JobPlan) -> None:
        """Note the job if a result of it is stale: the whole, an instance, or the steps from one on."""
        known = self.state.job(job.id)
        if read := self._read_by_job(job, known):
            self.found[job.id] = _Stale(job.id, read)
            return
        stale = [found for job_id in instances_of(job, self.state) if (found := self._instance(job, job_id))]
        if len(stale) == 1:
            self.found[job.id] = stale[0]
        elif stale:
            all_read = dict.fromkeys(read for one in stale for read in one.read)
            self.found[job.id] = _Stale(job.id, list(all_read))

    def _read_by_job(self, job: JobPlan, known: JobState) -> list[str]:
        """Return the jobs that ran again after the job's condition, or its items, had read them."""
        if job.id in self.again:
            return []
        decided = [] if job.when is None else [*_jobs(job.when.references, self.index)]
        read = [*job.needs, *decided] if not known.steps and known.items is None else decided
        names = self._newer(read, known.began) if known.status in DONE else []
        if known.items is not None and job.for_each is not None:
            names += self._newer(_jobs(job.for_each.references, self.index), known.listed)
        return list(dict.fromkeys(names))

    def _instance(self, job: JobPlan, job_id: str) -> _Stale | None:
        """Return the first kept step of a job, or of an instance, that is stale: later ones follow it."""
        steps = self.state.job(job_id).steps
        for number, step in enumerate(job.steps):
            known = steps.get(step.id)
            if known is None or known.status not in DONE or step_entry(job_id, step.id) in self.again:
                continue
            references = [*step.inputs.references, *step.outputs.references]
            read = self._newer([*job.needs, *_jobs(references, self.index)], known.began)
            for earlier in _own_steps(job.steps[:number], references):
                is_again = step_entry(job_id, earlier) in self.again
                if is_again or steps.get(earlier, StepState()).began > known.began:
                    read.append(step_entry(job.id, earlier))
            if read:
                reader = step_entry(job_id, step.id) if number else job_id
                return _Stale(reader, list(dict.fromkeys(read)))
        return None

    def _newer(self, jobs: Iterable[int], began: int) -> list[str]:
        """Return those of the jobs that run again, began after `began`, or are stale themselves."""
        names = dict.fromkeys(self.plan.jobs[index].id for index in jobs)
        return [
            name
            for name in names
            if name in self.again or name in self.found or self.state.job(name).began > began
        ]


def _jobs(references: Iterable[Reference], index: Mapping[str, int]) -> Iterator[int]:
    """Yield the indexes of the jobs that references name; ids may hold dots."""
    for reference in references:
        if reference.path[0] == "jobs":
            name = _longest(reference.path[1:], index)
            if name:
                yield index[name]


def _own_steps(earlier: Sequence[StepPlan], references: Iterable[Reference]) -> Iterator[str]:
    """Yield the earlier steps of the job whose outputs or status the references name."""
    ids = {step.id for step in earlier}
    for reference in references:
        root, *rest = reference.path
        if root == "steps" and (name := _longest(rest, ids)):
            yield name
        elif root == "job" and rest[:1] == ["outputs"]:
            yield from (step.id for step in earlier if not rest[1:] or _longest(rest[1:], step.spec.outputs))


def _longest(path: Sequence[str], known: Collection[str]) -> str:
    joined = (".".join(path[:length]) for length in range(len(path), 0, -1))
    return next((name for name in joined if name in known), "")
