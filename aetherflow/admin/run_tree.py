"""Arrange a stored run as a tree: jobs in the order in which they can run, instances, steps. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

import msgspec

from aetherflow.admin.run_history import RunHistory
from aetherflow.events.planned_jobs import PlannedJob, PlannedStep
from aetherflow.plan.hooks import is_hook
from aetherflow.store.queries import AttemptRow, EffectRow, JobRow, PlaceRow, RefusedRow, StepRow, WaitRow
from aetherflow.store.stored_times import seconds_between

R = TypeVar("R", AttemptRow, EffectRow, PlaceRow, RefusedRow, StepRow, WaitRow)

NOT_BEGUN = "PENDING"


class StepNode(msgspec.Struct, frozen=True):
    """A step of a run.

    Attributes:
        line: its line in the flow file; 0 if unknown.
        retries: its attempts that were repeated.
        waits_for: the waits that go on: for slots before an attempt, for a lock in the one that runs.
        place: of its last attempt, if that was given to an executor.
        refused: the results of its attempts that did not count any more.
    """

    row: StepRow
    line: int
    retries: list[AttemptRow] = []
    waits: list[WaitRow] = []
    effects: list[EffectRow] = []
    waits_for: list[WaitRow] = []
    place: PlaceRow | None = None
    refused: list[RefusedRow] = []

    @property
    def awaits_worker(self) -> bool:
        """Whether it runs, as far as the run is concerned, and no worker has begun it yet."""
        return self.row.status == "RUNNING" and self.place is not None and self.place.begun_at is None


class JobNode(msgspec.Struct, frozen=True):
    """A job of a run, or an instance of one.

    Attributes:
        plan: what the flow says of the job; only its id if that is not known.
        ready_at: when all jobs before it had ended; empty if they have not, or if it is an instance.
        waited_for: the job before it that ended last.
        instances: of a mapped job, in the order of its items.
    """

    row: JobRow
    plan: PlannedJob
    ready_at: str = ""
    waited_for: str = ""
    steps: list[StepNode] = []
    instances: list[JobNode] = []

    @property
    def waited_seconds(self) -> float:
        """How long it was ready and did not begin: others were running."""
        if not self.ready_at or not self.row.started_at:
            return 0.0
        return seconds_between(self.ready_at, self.row.started_at)

    def failed_steps(self) -> Iterable[tuple[JobNode, StepNode]]:
        """Yield the steps that failed, of its instances too."""
        for node in (self, *self.instances):
            for step in node.steps:
                if step.row.status == "FAILED":
                    yield node, step

    def waiting_steps(self) -> Iterable[tuple[JobNode, StepNode]]:
        """Yield the steps that wait for slots or a lock, of its instances too."""
        for node in (self, *self.instances):
            for step in node.steps:
                if step.waits_for:
                    yield node, step


def job_of_plan(job_id: str) -> str:
    """Return the job of an instance or a hook: `load` of `load[3]`, `@on_exit` of `@on_exit.2`."""
    return job_id.partition(".")[0] if is_hook(job_id) else job_id.partition("[")[0]


def run_tree(history: RunHistory) -> list[JobNode]:
    """Return the jobs of a run in the order in which they can run, then the hooks that ran."""
    plan = {job.id: job for job in history.plan}
    rows = {row.job_id: row for row in history.jobs}
    steps = _Steps(history)
    instances: dict[str, list[JobNode]] = {}
    for row in history.jobs:
        name = job_of_plan(row.job_id)
        if row.job_id != name and not is_hook(row.job_id):
            planned = plan.get(name, PlannedJob(id=name))
            node = JobNode(row, planned, steps=steps.of(row.job_id, planned))
            instances.setdefault(name, []).append(node)
    begun_at = history.resumed_at or history.run.started_at
    nodes = []
    for job_id in _order(history.plan, rows):
        planned = plan.get(job_of_plan(job_id), PlannedJob(id=job_id))
        row = rows.get(job_id) or JobRow(job_id, NOT_BEGUN, None, None, None, None, None)
        # A hook begins when all jobs have ended: it waits for no place.
        ready_at, last = ("", "") if is_hook(job_id) else _ready(planned, rows, begun_at)
        fan = sorted(instances.get(job_id, ()), key=lambda one: _number(one.row.job_id))
        nodes.append(JobNode(row, planned, ready_at, last, steps.of(job_id, planned), fan))
    return nodes


class _Steps:
    """The steps of a run by job, with what belongs to them."""

    def __init__(self, history: RunHistory) -> None:
        self._rows = _by_job(history.steps)
        self._retries, self._waits = _by_step(history.retries), _by_step(history.waits)
        self._effects = _by_step(history.effects)
        self._places, self._refused = _by_step(history.places), _by_step(history.refused)
        self._is_running = history.run.status == "RUNNING"

    def of(self, job_id: str, planned: PlannedJob) -> list[StepNode]:
        """Return the steps of a job that have begun or ended, in the order of the flow."""
        places = {step.id: (number, step) for number, step in enumerate(planned.steps)}
        unknown = len(places), PlannedStep(id="", type="")
        nodes = []
        for row in sorted(self._rows.get(job_id, ()), key=lambda one: places.get(one.step_id, unknown)[0]):
            name = (job_id, row.step_id)
            line = places.get(row.step_id, unknown)[1].line
            retries, waits = self._retries.get(name, []), self._waits.get(name, [])
            going_on = [wait for wait in waits if self._is_running and _goes_on(wait, row)]
            begun = row.started_at or ""  # when the last attempt began: an earlier one may have had a place
            place = next((one for one in self._places.get(name, ()) if one.given_at >= begun), None)
            effects, refused = self._effects.get(name, []), self._refused.get(name, [])
            nodes.append(StepNode(row, line, retries, waits, effects, going_on, place, refused))
        return nodes


def _goes_on(wait: WaitRow, step: StepRow) -> bool:
    """Whether a step of a run that is executed waits still; a wait in an earlier attempt was in vain."""
    if wait.ended_at is not None:
        return False
    if wait.lock:
        return step.status == "RUNNING" and wait.since >= (step.started_at or "")
    return step.status == NOT_BEGUN


def _by_job(rows: Iterable[StepRow]) -> dict[str, list[StepRow]]:
    found: dict[str, list[StepRow]] = {}
    for row in rows:
        found.setdefault(row.job_id, []).append(row)
    return found


def _by_step(rows: Iterable[R]) -> dict[tuple[str, str], list[R]]:
    found: dict[tuple[str, str], list[R]] = {}
    for row in rows:
        found.setdefault((row.job_id, row.step_id), []).append(row)
    return found


def _number(job_id: str) -> int:
    text = job_id.rpartition("[")[2].rstrip("]")
    return int(text) if text.isdecimal() else 0


def _order(plan: Sequence[PlannedJob], rows: Mapping[str, JobRow]) -> list[str]:
    """Return the ids of whole jobs: those of the plan, each after those before it, then others that ran."""
    jobs = [job for job in plan if not is_hook(job.id)]
    numbers = {job.id: number for number, job in enumerate(jobs)}
    edges = {
        number: [numbers[one] for one in (*job.needs, *job.after) if one in numbers]
        for number, job in enumerate(jobs)
    }
    sorter = TopologicalSorter(edges)
    try:
        sorter.prepare()
    except CycleError:  # no plan has one
        return list(rows)
    ready, ordered = sorted(sorter.get_ready()), []
    while ready:
        number = heapq.heappop(ready)
        ordered.append(jobs[number].id)
        sorter.done(number)
        for following in sorter.get_ready():
            heapq.heappush(ready, following)
    whole = [one for one in rows if is_hook(one) or one == job_of_plan(one)]
    others = [one for one in whole if one not in numbers]
    return [*ordered, *(one for one in others if not is_hook(one)), *filter(is_hook, others)]


def _ready(planned: PlannedJob, rows: Mapping[str, JobRow], begun_at: str) -> tuple[str, str]:
    """Return when the jobs before a job had ended, and which was the last; empty if they have not."""
    ready_at, last = begun_at, ""
    for before in (*planned.needs, *planned.after):
        row = rows.get(before)
        if row is None or row.finished_at is None:
            return "", before
        if row.finished_at > ready_at:
            ready_at, last = row.finished_at, before
    return ready_at, last
