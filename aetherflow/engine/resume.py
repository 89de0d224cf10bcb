"""Going on with a run: what is kept, what runs again, which kept steps are now defined otherwise. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from aetherflow.engine.frontier import instance_id
from aetherflow.engine.plan import JobPlan, Plan, StepPlan, downstream
from aetherflow.engine.state import DONE, JobState, RunState, StepState, step_entry
from aetherflow.errors import UsageError

REASONS_STORED = 1000
"""How many steps of each kind the journal names; the others are only counted."""


class Resumption(msgspec.Struct, frozen=True):
    """How a run goes on; each entry is `job` or `job.step`, most with the reason in parentheses.

    Attributes:
        rerun: earlier successes that count no more, as the journal names them (`job`, `job/step`).
        kept: finished steps and skipped jobs that are not run again.
        again: what had not been finished, with its status.
        changed: kept steps whose definition is another one than the one they ran with.
        settled: interrupted steps that do not run again, because `on_interrupt` says so.
        upgraded: kept steps whose type has another version than the one they ran with.
        left: jobs that have not succeeded and take no part this time.
    """

    rerun: list[str]
    kept: list[str]
    again: list[str]
    changed: list[str]
    settled: list[str] = []
    upgraded: list[str] = []
    left: list[str] = []

    def reasons(self) -> dict[str, list[str]]:
        """Return the entries by kind, as far as there are any: of each kind the first thousand."""
        return {kind: entries[:REASONS_STORED] for kind, entries in self._kinds()}

    def totals(self) -> dict[str, int]:
        """Return how many entries there are of each kind, as far as there are any."""
        return {kind: len(entries) for kind, entries in self._kinds()}

    def _kinds(self) -> Iterator[tuple[str, list[str]]]:
        for kind in ("kept", "again", "settled", "changed", "upgraded", "left"):
            if entries := getattr(self, kind):
                yield kind, entries


def plan_resumption(
    plan: Plan,
    state: RunState,
    rerun: Sequence[str] = (),
    *,
    only: str = "",
    selected: Collection[int] | None = None,
    option: str = "--rerun",
) -> Resumption:
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
    names = _named(plan, state, rerun, option, selected)
    if only:
        names += _alone(plan, state, only, selected)
    reopened = {job.id for job in taking_part if state.job(job.id).status not in DONE}
    for index in sorted(downstream(plan, reopened)):
        job = plan.jobs[index]
        if (selected is None or index in selected) and _was_skipped_unopened(state.job(job.id)):
            names += [job.id, *_instances(job, state)]
    names = list(dict.fromkeys(names))
    reopening, why = set(names), f"--only {only}" if only else option
    found = Resumption(names, [], [], [])
    for job in taking_part:
        for job_id in _instances(job, state):
            _sort_out(job, job_id, state, reopening, found, why)
    if selected is not None:
        left = (job.id for job in plan.jobs if job.index not in selected)
        found.left.extend(
            f"{job} ({status})" for job in left if (status := state.job(job).status) not in DONE
        )
    return found


def _was_skipped_unopened(job: JobState) -> bool:
    """Whether a job was skipped by its gate, or for want of items: nothing of it has begun."""
    return job.status == "SKIPPED" and not job.steps and job.items is None


def _instances(job: JobPlan, state: RunState) -> list[str]:
    """Return the job itself, or its instances: of its items, and those that an earlier list has left."""
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
) -> list[str]:
    """Return the jobs and steps that `--rerun` names, and all that follows them."""
    names: list[str] = []
    jobs = {job.id: job for job in plan.jobs}
    for wanted in rerun:
        job, step_id = _job_and_step(jobs, wanted)
        if job is None:
            raise UsageError(
                f"{option} {wanted}: the flow has no such job or step",
                hint=f"give JOB or JOB.STEP; {_known_jobs(plan)}",
            )
        if selected is not None and job.index not in selected:
            raise UsageError(
                f"{option} {wanted}: the job {job.id} takes no part in this run",
                hint="--flow-job had limited the run: resume it without, with run --run-id",
            )
        step_ids = [step.id for step in job.steps]
        first = step_ids.index(step_id) if step_id else 0
        for instance in _instances(job, state):
            later = (step_entry(instance, step) for step in step_ids[first:])
            names += later if first else [instance]
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
    job: JobPlan, job_id: str, state: RunState, rerun: set[str], found: Resumption, option: str
) -> None:
    """Add to `found` what becomes of a job's steps."""
    known = state.job(job_id)
    reopens = (
        known.status not in DONE
        or job_id in rerun
        or any(step_entry(job_id, step_id) in rerun for step_id in known.steps)
    )
    if known.status == "SKIPPED" and not known.steps and job_id not in rerun:
        found.kept.append(f"{job_id} ({known.status})")
    for step in job.steps:
        name = f"{job_id}.{step.id}"
        ended = known.steps.get(step.id)
        if ended is None:
            continue
        is_named = job_id in rerun or step_entry(job_id, step.id) in rerun
        if ended.status not in DONE and reopens:
            was_cut_off = ended.status == "RUNNING" or (job_id, step.id) in state.interrupted
            if was_cut_off and not is_named and step.spec.on_interrupt != "rerun":
                found.settled.append(f"{name} (INTERRUPTED, on_interrupt: {step.spec.on_interrupt})")
                continue
            found.again.append(f"{name} ({'INTERRUPTED' if was_cut_off else ended.status})")
        elif is_named:
            found.again.append(f"{name} ({option})")
        else:
            found.kept.append(f"{name} ({ended.status})")
            _compare(name, ended, step, found)


def _compare(name: str, ended: StepState, step: StepPlan, found: Resumption) -> None:
    """Note whether a kept step is another one now than the one that ran."""
    if ended.definition and ended.definition != step.fingerprint():
        found.changed.append(name)
    if ended.version and step.version and ended.version != step.version:
        found.upgraded.append(f"{name} ({ended.version}, now {step.version})")
