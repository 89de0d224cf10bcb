"""Going on with a run: what is kept, what runs again, which kept steps are now defined otherwise. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypedDict

import msgspec

from aetherflow.engine.ready_queue import WHOLE, hook_instance, instance_id
from aetherflow.engine.state import (
    DONE,
    JobState,
    RunState,
    StepState,
    endings_closed,
    family,
    step_entry,
)
from aetherflow.errors import UsageError
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import JobPlan, Plan, StepPlan, downstream

REASONS_STORED = 1000
"""How many steps of each kind the journal names; the others are only counted."""


class Effect(TypedDict):
    """What `RunResumed` says that a resume does to the state."""

    rerun: list[str]
    reopened: list[str]
    left: list[str]
    gone: list[str]


class ResumePlan(msgspec.Struct, frozen=True):
    """How a run goes on; each entry is `job` or `job.step`, most with the reason in parentheses.

    Attributes:
        rerun: earlier successes that count no more, as the journal names them (`job`, `job/step`).
        kept: finished steps and skipped jobs that are not run again.
        again: what had not been finished, with its status.
        changed: kept steps whose definition is another one than the one they ran with, as the flow names
            them, and kept jobs with what is another one: `job (when)`.
        settled: interrupted steps that do not run again, because `on_interrupt` says so.
        upgraded: kept steps whose type has another version than the one they ran with.
        left: jobs that have not succeeded and take no part this time.
        missed: steps that the jobs that are kept did not have when they ran.
        gone: jobs and steps that the flow has no more, with their status.
        reopened: finished jobs that go on all the same, as the journal names them.
        apart: the jobs that take no part and stay as they are, as the journal names them.
        dropped: what is no part of the run any more, as the journal names it.
    """

    rerun: list[str]
    kept: list[str]
    again: list[str]
    changed: list[str]
    settled: list[str] = []
    upgraded: list[str] = []
    left: list[str] = []
    missed: list[str] = []
    gone: list[str] = []
    reopened: list[str] = []
    apart: list[str] = []
    dropped: list[str] = []

    def effect(self) -> Effect:
        """Return what the event says of the state, by its fields."""
        return {"rerun": self.rerun, "reopened": self.reopened, "left": self.apart, "gone": self.dropped}

    def reasons(self) -> dict[str, list[str]]:
        """Return the entries by kind, as far as there are any: of each kind the first thousand."""
        return {kind: entries[:REASONS_STORED] for kind, entries in self._kinds()}

    def totals(self) -> dict[str, int]:
        """Return how many entries there are of each kind, as far as there are any."""
        return {kind: len(entries) for kind, entries in self._kinds()}

    def _kinds(self) -> Iterator[tuple[str, list[str]]]:
        for kind in ("kept", "again", "settled", "changed", "missed", "upgraded", "left", "gone"):
            if entries := getattr(self, kind):
                yield kind, entries


class Wanted(msgspec.Struct, frozen=True):
    """What `JOB`, `JOB.STEP`, `JOB[n]` or `JOB[n].STEP` names."""

    job: JobPlan
    item: int = WHOLE
    step_id: str = ""


def plan_resume(
    plan: Plan,
    state: RunState,
    rerun: Sequence[str] = (),
    *,
    only: str = "",
    selected: Collection[int] | None = None,
    option: str = "--rerun",
) -> ResumePlan:
    """Say how the run goes on with this plan.

    A job that its gate skipped is looked at again when a job before it runs again: the gate may open now.

    Args:
        plan: the flow as it is now.
        state: the run as it is stored.
        rerun: jobs and steps that run again, with all that follows them.
        only: a job that runs again with all its steps; what follows it does not for this reason.
        selected: indexes of the jobs that take part; None means all.
        option: how a message names where `rerun` came from.

    Raises:
        UsageError: `rerun` names what the flow does not have, or `only` cannot run alone.
    """
    taking_part = [job for job in plan.jobs if selected is None or job.index in selected]
    names, reopened = _named(plan, state, rerun, option, selected)
    if only:
        names += _alone(plan, state, only, selected)
    not_done = {job.id for job in taking_part if state.job(job.id).status not in DONE}
    for index in sorted(downstream(plan, not_done)):
        job = plan.jobs[index]
        if (selected is None or index in selected) and _was_skipped_unopened(state.job(job.id)):
            names += [job.id, *_instances(job, state)]
    names += [job.id for job in taking_part if job.id in not_done and _was_a_fan(job, state)]
    names = list(dict.fromkeys(names))
    found = ResumePlan(names, [], [], [], reopened=reopened)
    _sort_out_what_is_gone(plan, state, found)
    reopening, why = set(names), f"--only {only}" if only else option
    for job in taking_part:
        if job.id not in reopening:
            _compare_job(job, state.job(job.id), found)
        for job_id in _instances(job, state):
            _sort_out(job, job_id, state, reopening, found, why)
    closed = endings_closed(state, [*names, *found.reopened])
    for job in plan.hooks:
        _sort_out(job, hook_instance(job, closed).id, state, reopening, found, why)
    found.changed[:] = dict.fromkeys(found.changed)
    found.upgraded[:] = dict.fromkeys(found.upgraded)
    if selected is not None:
        _leave(plan, state, selected, found)
    return found


def _leave(plan: Plan, state: RunState, selected: Collection[int], found: ResumePlan) -> None:
    """Note the jobs that take no part and are not done."""
    for job in plan.jobs:
        status = state.job(job.id).status
        if job.index not in selected and status not in DONE:
            found.left.append(f"{job.id} ({status})")
            if job.id in state.jobs:
                found.apart.append(job.id)


def _was_a_fan(job: JobPlan, state: RunState) -> bool:
    """Whether a job that ran with items has no `for_each` any more."""
    return job.for_each is None and state.job(job.id).items is not None


def _sort_out_what_is_gone(plan: Plan, state: RunState, found: ResumePlan) -> None:
    """Note the jobs, instances and steps that the flow has no more; those that are not done go."""
    jobs = {job.id: job for job in plan.jobs}
    rerun = set(found.rerun)
    for job_id, job in state.jobs.items():
        if is_hook(job_id):
            continue
        name = family(job_id)
        planned, is_instance = jobs.get(name), name != job_id
        goes_on = job.status not in DONE or job_id in rerun
        if planned is None or (is_instance and planned.for_each is None):
            is_dropped = job.status not in DONE or (planned is not None and name in rerun)
            _note_gone(job_id, job_id, job.status, found, is_dropped=is_dropped)
            continue
        if planned.for_each is not None and not is_instance and not goes_on:
            continue  # it was a plain job when it ran, and stays one
        is_fan = planned.for_each is not None and not is_instance
        known = set() if is_fan else {step.id for step in planned.steps}
        for step_id, step in job.steps.items():
            if step_id not in known:
                entry = step_entry(job_id, step_id)
                _note_gone(entry, f"{job_id}.{step_id}", step.status, found, is_dropped=goes_on)


def _note_gone(entry: str, name: str, status: str, found: ResumePlan, *, is_dropped: bool) -> None:
    found.gone.append(f"{name} ({status})")
    if is_dropped:
        found.dropped.append(entry)


def _was_skipped_unopened(job: JobState) -> bool:
    """Whether a job was skipped by its gate, or for want of items: nothing of it has begun."""
    return job.status == "SKIPPED" and not job.steps and job.items is None


def _instances(job: JobPlan, state: RunState) -> list[str]:
    """Return the job itself, or its instances: of its items, and those that an earlier list has left."""
    if job.for_each is None:
        return [job.id]
    items = state.job(job.id).items
    number = 0 if items is None else len(items)
    while instance_id(job.id, number) in state.jobs:
        number += 1
    return [instance_id(job.id, item) for item in range(number)] if number or items is not None else [job.id]


def _alone(plan: Plan, state: RunState, job_id: str, selected: Collection[int] | None) -> list[str]:
    """Return what `--only` names: the job with its instances; what it needs must have succeeded."""
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
    return [job_id, *_instances(job, state)]


def _known_jobs(plan: Plan) -> str:
    return f"the jobs are {', '.join(job.id for job in plan.jobs[:20])}"


def _named(
    plan: Plan, state: RunState, rerun: Sequence[str], option: str, selected: Collection[int] | None
) -> tuple[list[str], list[str]]:
    """Return the jobs and steps that `--rerun` names, with all that follows them, and the jobs that go on."""
    names: list[str] = []
    reopened: list[str] = []
    jobs = {job.id: job for job in plan.jobs}
    for text in rerun:
        wanted = _wanted(jobs, state, text)
        if wanted is None:
            raise UsageError(
                f"{option} {text}: the flow has no such job or step",
                hint=f"give JOB or JOB.STEP; {_known_jobs(plan)}",
            )
        job = wanted.job
        if selected is not None and job.index not in selected:
            raise UsageError(
                f"{option} {text}: the job {job.id} takes no part in this run",
                hint="--flow-job had limited the run: resume it without, with run --run-id",
            )
        step_ids = [step.id for step in job.steps]
        first = step_ids.index(wanted.step_id) if wanted.step_id else 0
        is_one = wanted.item != WHOLE
        for mapped_instance in [instance_id(job.id, wanted.item)] if is_one else _instances(job, state):
            later = (step_entry(mapped_instance, step) for step in step_ids[first:])
            names += later if first else [mapped_instance]
        for index in sorted(downstream(plan, [job.id]) - {job.index}):
            names += [plan.jobs[index].id, *_instances(plan.jobs[index], state)]
        if is_one:
            reopened.append(job.id)
        elif not first or job.for_each is not None:  # instances run again only within their job
            names.append(job.id)
    return list(dict.fromkeys(names)), list(dict.fromkeys(reopened))


def _wanted(jobs: Mapping[str, JobPlan], state: RunState, text: str) -> Wanted | None:
    """Return what is named; ids of jobs and of steps may hold dots, but no brackets."""
    if text in jobs:
        return Wanted(jobs[text])
    name, bracket, rest = text.partition("[")
    if bracket:
        number, bracket, rest = rest.partition("]")
        job = jobs.get(name)
        known = None if job is None or job.for_each is None else state.job(name).items
        if job is None or known is None or number not in map(str, range(len(known))):
            return None
        is_step = any(rest == f".{step.id}" for step in job.steps)
        return Wanted(job, int(number), rest[1:]) if is_step or (bracket and not rest) else None
    parts = text.split(".")
    for length in range(len(parts) - 1, 0, -1):
        job, step_id = jobs.get(".".join(parts[:length])), ".".join(parts[length:])
        if job is not None and any(step.id == step_id for step in job.steps):
            return Wanted(job, step_id=step_id)
    return None


def _sort_out(
    job: JobPlan, job_id: str, state: RunState, rerun: set[str], found: ResumePlan, option: str
) -> None:
    """Add to `found` what becomes of a job's steps."""
    known = state.job(job_id)
    whole_job, is_done = job_id in rerun, known.status in DONE
    named = {step.id for step in job.steps if whole_job or (rerun and step_entry(job_id, step.id) in rerun)}
    if is_done and not known.steps and not named:
        found.kept.append(f"{job_id} ({known.status})")
    if is_done and (known.steps or not whole_job):
        _sort_out_new(job, job_id, known, named, found, option)
    for step in job.steps:
        name = f"{job_id}.{step.id}"
        ended = known.steps.get(step.id)
        if ended is None:
            continue
        if ended.status not in DONE and (not is_done or named):
            was_cut_off = ended.status == "RUNNING" or (job_id, step.id) in state.interrupted
            if was_cut_off and step.id not in named and step.spec.on_interrupt != "rerun":
                found.settled.append(f"{name} (INTERRUPTED, on_interrupt: {step.spec.on_interrupt})")
                continue
            found.again.append(f"{name} ({'INTERRUPTED' if was_cut_off else ended.status})")
        elif step.id in named:
            found.again.append(f"{name} ({option})")
        else:
            found.kept.append(f"{name} ({ended.status})")
            if not is_hook(job_id):
                _compare(f"{job.id}.{step.id}", ended, step, found)


def _sort_out_new(
    job: JobPlan, job_id: str, known: JobState, named: set[str], found: ResumePlan, option: str
) -> None:
    """Add the steps that a finished job has not run: they do only if it goes on, because a step is named."""
    if named and named.isdisjoint(known.steps):
        found.reopened.append(job_id)
    for step in job.steps:
        name = f"{job_id}.{step.id}"
        if step.id in known.steps:
            continue
        if step.id in named:
            found.again.append(f"{name} ({option})")
        elif known.steps and named:
            found.again.append(f"{name} (new)")
        elif known.steps and not is_hook(job_id):
            found.missed.append(name)


def _compare(name: str, ended: StepState, step: StepPlan, found: ResumePlan) -> None:
    """Note whether a kept step is another one now than the one that ran."""
    if ended.definition and ended.definition != step.fingerprint():
        found.changed.append(name)
    if ended.version and step.version and ended.version != step.version:
        found.upgraded.append(f"{name} ({ended.version}, now {step.version})")


def _compare_job(job: JobPlan, known: JobState, found: ResumePlan) -> None:
    """Note whether the gate of a finished job, or what listed the items that are kept, is another one now."""
    if known.status in DONE and known.when and known.when != job.gate:
        found.changed.append(f"{job.id} (when)")
    if known.for_each and known.for_each != job.listing:
        found.changed.append(f"{job.id} (for_each)")
