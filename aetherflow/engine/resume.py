"""Plan a resume: which steps keep their result, which run again, and why. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, get_args

import msgspec

from aetherflow.engine.ready_queue import hook_instance
from aetherflow.engine.rerun_targets import (
    RerunTargets,
    instances_of,
    only_target,
    rerun_targets,
)
from aetherflow.engine.stale_results import stale_results
from aetherflow.engine.state import (
    DONE,
    JobState,
    RunState,
    StepState,
    closed_endings,
    plan_job_id,
    step_entry,
)
from aetherflow.errors import UsageError
from aetherflow.events.event_words import place_text
from aetherflow.events.stale_readers import (
    job_of,
    names_to_run,
    options_to_run,
    readers_to_run,
    shown,
    stale_text,
)
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import JobPlan, Plan, StepPlan, downstream

DECISIONS_STORED = 1000
"""How many decisions of each kind the journal names; the others are only counted."""

ResumeKind = Literal[
    "keep",
    "reattach",
    "rerun",
    "stale",
    "end_interrupted",
    "changed",
    "never_run",
    "upgraded",
    "exclude",
    "remove",
]
"""What a resume decides about a job or a step.

keep: it is finished and does not run again. reattach: a worker still has its attempt, which
goes on. rerun: it runs again. stale: it is kept, but what it had read runs again, or has.
end_interrupted: it was cut off and ends without running again (`on_interrupt`). changed: it is kept, but the
flow defines it otherwise now. never_run: its kept job ended without it. upgraded: it is kept, but its step
type has another version now. exclude: its job takes no part this time. remove: the flow does not have it any
more.
"""

KINDS: tuple[ResumeKind, ...] = get_args(ResumeKind)


class ResumeDecision(msgspec.Struct, frozen=True):
    """What a resume does about a job, or a step of it; its text is `job.step (reason)`."""

    kind: ResumeKind
    job: str
    step: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """The job, or `job.step`."""
        return f"{self.job}.{self.step}" if self.step else self.job

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name


class ResumePlan(msgspec.Struct, frozen=True):
    """How a run is resumed. The lists are as in `RunResumed`: jobs, and `job/step` entries.

    Attributes:
        decisions: about each job and step concerned, in the order of the plan, none twice.
        rerun: steps and jobs that run again although they succeeded.
        reopened: finished jobs that continue nevertheless.
        excluded_jobs: the jobs that do not take part and do not change.
        removed: jobs and steps that the flow no longer has.
        stale: the results that stay although what they had read runs again, or has: by reader, what it had
            read.
        reattached: the steps whose attempts go on.
    """

    decisions: list[ResumeDecision]
    rerun: list[str]
    reopened: list[str]
    excluded_jobs: list[str]
    removed: list[str]
    stale: dict[str, list[str]] = {}
    reattached: list[str] = []

    def event_fields(self) -> dict[str, Any]:
        """Return what the resume changes in the state, as fields of `RunResumed`."""
        names = ("rerun", "reopened", "excluded_jobs", "removed", "stale", "reattached")
        return {name: getattr(self, name) for name in names}

    def of_kind(self, kind: ResumeKind) -> list[ResumeDecision]:
        """Return the decisions of one kind."""
        return [decision for decision in self.decisions if decision.kind == kind]

    def texts(self, kind: ResumeKind) -> list[str]:
        """Return the decisions of one kind as texts."""
        return [str(decision) for decision in self.of_kind(kind)]

    def stored_decisions(self) -> dict[str, list[str]]:
        """Return the texts of the decisions by kind, as far as there are any: of each kind the first ones."""
        return {kind: texts[:DECISIONS_STORED] for kind in KINDS if (texts := self.texts(kind))}

    def decision_counts(self) -> dict[str, int]:
        """Return how many decisions there are of each kind, as far as there are any."""
        return {kind: len(found) for kind in KINDS if (found := self.of_kind(kind))}


def plan_resume(
    plan: Plan,
    state: RunState,
    rerun: Sequence[str] = (),
    *,
    only: str = "",
    selected: Collection[int] | None = None,
    option: str = "--rerun",
    found: Collection[tuple[str, str]] = (),
) -> ResumePlan:
    """Decide how the run is resumed with this plan.

    A job that was SKIPPED before it began is examined again when a job before it runs again: its gate may be
    open now. With `on_stale: rerun`, results that would become stale are made again, unless `only` is given.

    Args:
        plan: the current flow.
        state: the stored run.
        rerun: jobs and steps that run again, with all that depends on them.
        only: a job that runs again with all its steps; what depends on it does not, for this reason.
        selected: indexes of the jobs that take part; None means all.
        option: how a message names where `rerun` came from.
        found: the steps, by job and id, whose last attempts workers still have.

    Raises:
        UsageError: `rerun` names a job or step that the flow does not have, `only` cannot run alone, or a
            result would be stale and the flow refuses that (`on_stale: fail`).
    """
    taking_part = [job for job in plan.jobs if selected is None or job.index in selected]
    entries, reopened = rerun_targets(plan, state, rerun, option, selected)
    if only:
        entries += only_target(plan, state, only, selected)
    not_done = {job.id for job in taking_part if state.job(job.id).status not in DONE}
    for index in sorted(downstream(plan, not_done)):
        job = plan.jobs[index]
        if (selected is None or index in selected) and _was_skipped_unstarted(state.job(job.id)):
            entries += [job.id, *instances_of(job, state)]
    entries += [job.id for job in taking_part if job.id in not_done and _was_mapped(job, state)]
    causes = dict.fromkeys(entries, f"--only {only}" if only else option)
    stale = stale_results(plan, state, _again(state, taking_part, causes, reopened))
    if plan.flow.on_stale == "rerun" and not only:
        while more := _stale_targets(plan, state, stale, causes, selected):
            reopened = list(dict.fromkeys([*reopened, *more.reopened]))
            causes = dict.fromkeys(more.rerun, "on_stale: rerun") | causes
            stale = stale_results(plan, state, _again(state, taking_part, causes, reopened))
    if stale and plan.flow.on_stale == "fail":
        raise _refusal(stale, only, option)
    again = _again(state, taking_part, causes, reopened) if found else set()
    planner = _Planner(plan, state, causes, reopened, stale, found=found, again=again)
    planner.decide(taking_part)
    if selected is not None:
        planner.exclude(selected)
    return planner.result()


def refused_readers(plan: Plan, state: RunState, selected: Collection[int] | None) -> list[str]:
    """Return what must be named, as `job.step`, so that a flow which refuses stale results can be resumed.

    A resume would repeat what the kept results of these jobs and steps had read (`on_stale: fail`).
    """
    if plan.flow.on_stale != "fail":
        return []
    taking_part = [job for job in plan.jobs if selected is None or job.index in selected]
    stale = stale_results(plan, state, _again(state, taking_part, (), ()))
    return names_to_run(stale)


def _again(
    state: RunState, taking_part: Sequence[JobPlan], rerun: Collection[str], reopened: Collection[str]
) -> set[str]:
    """Return the jobs, instances and steps that will run again: what is named, and what is not done."""
    again = {*rerun, *reopened}
    for job in taking_part:
        for job_id in dict.fromkeys([job.id, *instances_of(job, state)]):
            known = state.job(job_id)
            steps = {step_entry(job_id, step): known.steps[step].status in DONE for step in known.steps}
            if known.status in DONE and again.isdisjoint([job_id, *steps]):
                continue
            again |= {entry for entry, is_done in steps.items() if not is_done or job_id in rerun} | {job_id}
    return again


def _stale_targets(
    plan: Plan,
    state: RunState,
    stale: Mapping[str, list[str]],
    known: Collection[str],
    selected: Collection[int] | None,
) -> RerunTargets | None:
    """Return what must run again so that no result is stale; None if all that can does."""
    taking_part = {job.id for job in plan.jobs if selected is None or job.index in selected}
    names = [shown(one) for one in readers_to_run(stale) if job_of(one) in taking_part]
    found = rerun_targets(plan, state, names, "on_stale", selected)
    return found if not set(found.rerun) <= set(known) else None


def _refusal(stale: Mapping[str, list[str]], only: str, option: str) -> UsageError:
    again = options_to_run(stale, option)
    return UsageError(
        f"a result would be stale, and the flow refuses that (on_stale: fail): {stale_text(stale)}",
        hint=f"--only {only} --with-downstream runs the readers too" if only else f"run them too: {again}",
        code="AF869",
    )


def _was_mapped(job: JobPlan, state: RunState) -> bool:
    """Whether a job that ran with items has no `for_each` any more."""
    return job.for_each is None and state.job(job.id).items is not None


def _was_skipped_unstarted(job: JobState) -> bool:
    """Whether a job was skipped by its gate, or because it had no items: nothing of it has begun."""
    return job.status == "SKIPPED" and not job.steps and job.items is None


def _where(step: StepState) -> str:
    """Return which attempt of a step a worker still has, and where."""
    place = step.place
    where = place_text(place.executor, place.worker, place.host) if place else step.executor
    return f"attempt {step.attempt} on {where}"


class _Planner(msgspec.Struct, eq=False):
    """Collects the decisions of one resume."""

    plan: Plan
    state: RunState
    rerun: dict[str, str]  # why each entry runs again
    reopened: list[str]
    stale: dict[str, list[str]]
    found: Collection[tuple[str, str]] = ()
    again: Collection[str] = ()
    reattached: list[str] = []
    excluded_jobs: list[str] = []
    removed: list[str] = []
    decisions: dict[ResumeDecision, None] = {}

    def result(self) -> ResumePlan:
        """Return what was decided; what concerns all instances of a job appears once."""
        return ResumePlan(
            list(self.decisions),
            list(self.rerun),
            self.reopened,
            self.excluded_jobs,
            self.removed,
            dict(islice(self.stale.items(), DECISIONS_STORED)),
            self.reattached,
        )

    def decide(self, taking_part: Sequence[JobPlan]) -> None:
        """Decide about everything that the run has, then about the hooks of an ending that was cut off."""
        self._remove_what_the_flow_lost()
        for job in taking_part:
            if job.id not in self.rerun:
                self._compare_job(job, self.state.job(job.id))
            for job_id in instances_of(job, self.state):
                self._decide_job(job, job_id)
        closed = closed_endings(self.state, [*self.rerun, *self.reopened])
        for job in self.plan.hooks:
            self._decide_job(job, hook_instance(job, closed).id)
        for reader, read in self.stale.items():
            job_id, _, step_id = reader.partition("/")
            self._add("stale", job_id, step_id, f"read {', '.join(map(shown, read))}")

    def exclude(self, selected: Collection[int]) -> None:
        """Note the jobs that take no part and are not done."""
        for job in self.plan.jobs:
            status = self.state.job(job.id).status
            if job.index not in selected and status not in DONE:
                self._add("exclude", job.id, "", status)
                if job.id in self.state.jobs:
                    self.excluded_jobs.append(job.id)

    def _add(self, kind: ResumeKind, job: str, step: str = "", reason: str = "") -> None:
        self.decisions[ResumeDecision(kind, job, step, reason)] = None

    def _cause(self, job_id: str, step_id: str) -> str:
        """Return why a named step runs again."""
        return self.rerun.get(job_id) or self.rerun[step_entry(job_id, step_id)]

    def _remove_what_the_flow_lost(self) -> None:
        """Record the jobs, instances and steps that the flow no longer has; drop those not done."""
        jobs = {job.id: job for job in self.plan.jobs}
        for job_id, job in self.state.jobs.items():
            if is_hook(job_id):
                continue
            name = plan_job_id(job_id)
            planned, is_instance = jobs.get(name), name != job_id
            continues = job.status not in DONE or job_id in self.rerun
            if planned is None or (is_instance and planned.for_each is None):
                self._add("remove", job_id, "", job.status)
                if job.status not in DONE or (planned is not None and name in self.rerun):
                    self.removed.append(job_id)
                continue
            is_mapped = planned.for_each is not None and not is_instance
            if is_mapped and not continues:
                continue  # it was no mapped job when it ran, and stays as it is
            known = set() if is_mapped else {step.id for step in planned.steps}
            for step_id, step in job.steps.items():
                if step_id not in known:
                    self._add("remove", job_id, step_id, step.status)
                    if continues:
                        self.removed.append(step_entry(job_id, step_id))

    def _decide_job(self, job: JobPlan, job_id: str) -> None:
        """Decide about the steps of a job or of an instance."""
        known = self.state.job(job_id)
        whole_job, is_done = job_id in self.rerun, known.status in DONE
        named = {step.id for step in job.steps if whole_job or step_entry(job_id, step.id) in self.rerun}
        if is_done and not known.steps and not named:
            self._add("keep", job_id, "", known.status)
        if is_done and (known.steps or not whole_job):
            self._decide_new_steps(job, job_id, known, named)
        for step in job.steps:
            ended = known.steps.get(step.id)
            if ended is not None:
                continues = not is_done or bool(named)
                if (job_id, step.id) in self.found and not named and self._may_go_on(job, job_id, step):
                    self.reattached.append(step_entry(job_id, step.id))
                    self._add("reattach", job_id, step.id, _where(ended))
                else:
                    self._decide_step(job_id, step, ended, is_named=step.id in named, continues=continues)

    def _may_go_on(self, job: JobPlan, job_id: str, step: StepPlan) -> bool:
        """Whether an attempt that a worker still has is what the flow would begin here now.

        Not if the step is another one now, or if something that it follows runs first, or once more. The
        hooks of an ending begin again.
        """
        known = self.state.job(job_id)
        ended = known.steps[step.id]
        befores = {self.plan.jobs[index].id: index in job.needs for index in (*job.needs, *job.after)}
        return (
            ended.status == "RUNNING"
            and not is_hook(job_id)
            and (not ended.definition or step.is_defined_as(ended.definition))
            and all(
                (other := known.steps.get(earlier.id)) is not None and other.status in DONE
                for earlier in job.steps[: job.steps.index(step)]
            )
            and not any(before in self.again for before in befores)
            and all(
                self.state.job(before).status == "SUCCESS" for before, is_need in befores.items() if is_need
            )
        )

    def _decide_step(
        self, job_id: str, step: StepPlan, ended: StepState, *, is_named: bool, continues: bool
    ) -> None:
        """Decide about a step that had begun; `continues` says whether its job does."""
        if ended.status not in DONE and continues:
            was_cut_off = ended.status == "RUNNING" or (job_id, step.id) in self.state.interrupted
            policy = step.spec.on_interrupt
            if was_cut_off and not is_named and policy != "rerun":
                self._add("end_interrupted", job_id, step.id, f"INTERRUPTED, on_interrupt: {policy}")
            else:
                self._add("rerun", job_id, step.id, "INTERRUPTED" if was_cut_off else ended.status)
        elif is_named:
            self._add("rerun", job_id, step.id, self._cause(job_id, step.id))
        else:
            self._add("keep", job_id, step.id, ended.status)
            if not is_hook(job_id):
                self._compare_step(plan_job_id(job_id), step, ended)

    def _decide_new_steps(self, job: JobPlan, job_id: str, known: JobState, named: set[str]) -> None:
        """Decide about steps that a finished job has not run: they run only if a step of it is named."""
        if named and named.isdisjoint(known.steps):
            self.reopened.append(job_id)
        for step in job.steps:
            if step.id in known.steps:
                continue
            if step.id in named:
                self._add("rerun", job_id, step.id, self._cause(job_id, step.id))
            elif known.steps and named:
                self._add("rerun", job_id, step.id, "new")
            elif known.steps and not is_hook(job_id):
                self._add("never_run", job_id, step.id)

    def _compare_step(self, job_id: str, step: StepPlan, ended: StepState) -> None:
        """Note whether a kept step is defined otherwise now, or has another version."""
        if ended.definition and not step.is_defined_as(ended.definition):
            self._add("changed", job_id, step.id)
        if ended.version and step.version and ended.version != step.version:
            self._add("upgraded", job_id, step.id, f"{ended.version}, now {step.version}")

    def _compare_job(self, job: JobPlan, known: JobState) -> None:
        """Note whether the gate of a finished job, or what listed its items, is another one now."""
        if known.status in DONE and known.when and known.when != job.gate:
            self._add("changed", job.id, "", "when")
        if known.for_each and not job.is_listed_as(known.for_each):
            self._add("changed", job.id, "", "for_each")
