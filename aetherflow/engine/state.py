"""The state of a run: the fold over its events, with a table that says what may follow what.

Pure: no clock, no I/O, no chance. `apply` is the only writer; an event that the table does not allow is a
bug and raises, whoever sent it. The same fold serves a live run, a resumed one and a report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.plan.hooks import ending_of, is_hook
from aetherflow.ports import EffectState
from aetherflow.spec.flow import JobStatus, StepStatus

RunPhase = Literal["NEW", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"]

DONE: frozenset[str] = frozenset({"SUCCESS", "SKIPPED"})
"""What a resume keeps."""

ENDED_BADLY: frozenset[str] = frozenset({"FAILED", "BLOCKED", "CANCELLED"})
"""What a resume does again, unless the job takes no part: then it stays so."""

INTERRUPTED = "INTERRUPTED"
"""What the table calls a PENDING step that a death of its process cut off: it may end FAILED at once."""


def step_entry(job_id: str, step_id: str) -> str:
    """Return how `RunResumed.rerun` names a step: ids may hold dots, but no slash."""
    return f"{job_id}/{step_id}"


def closed_endings(state: RunState, rerun: Sequence[str]) -> int:
    """Return how many endings are over when a run goes on.

    An ending that its process's death cut off goes on only if nothing that it followed runs again: else the
    run ends anew, and tells anew.
    """
    was_cut_off = state.phase == "RUNNING" and state.outcome is not None
    return state.endings + (was_cut_off and (state.outcome != "SUCCESS" or bool(rerun)))


def family(job_id: str) -> str:
    """Return the job of the flow that a job id belongs to: that of all its instances."""
    return job_id.partition("[")[0]


class IllegalEvent(Exception):
    """An event that cannot happen in this state: a bug in the engine or a damaged journal."""


class StepState(msgspec.Struct, gc=False):
    """What is known of one step; its `effects`, by key, are forgotten when it has ended well."""

    status: StepStatus = "PENDING"
    step_type: str = ""
    attempt: int = 0
    definition: str = ""
    outputs: dict[str, Any] = {}
    job_outputs: dict[str, Any] = {}
    reason: str = ""
    error: ErrorInfo | None = None
    version: str = ""
    effects: dict[str, EffectState] = {}


class Interruption(msgspec.Struct, frozen=True, gc=False):
    """An attempt of a step was running when its process died; `noticed_at` is when the run was resumed."""

    attempt: int
    noticed_at: datetime


class JobState(msgspec.Struct, gc=False):
    """What is known of one job; its outputs are those its steps promoted, in step order.

    Attributes:
        when: fingerprint of the gate that was looked at last.
        for_each: fingerprint of what listed the items, or none.
    """

    status: JobStatus = "PENDING"
    outputs: dict[str, Any] = {}
    steps: dict[str, StepState] = {}
    items: e.Items | None = None
    reason: str = ""
    error: ErrorInfo | None = None
    when: str = ""
    for_each: str = ""


class RunState(msgspec.Struct, gc=False):
    """What is known of one run.

    Attributes:
        cancelling: why the run stops, while it does.
        outcome: how the jobs ended, while the flow's own ending steps run.
        endings: how often the run has ended; a resumed run ends again.
        secrets: the parameters that a resume must be given again: only a mask of them is stored.
        scheduled_at: the instant that the run stands for; empty: when it started.
        recoveries: how often in a row a server died in a step of the run, and no step has succeeded since.
        interrupted: what a death of the process cut off and has not begun again, by job id and step id.
    """

    flow_id: str = ""
    run_id: str = ""
    phase: RunPhase = "NEW"
    attempt: int = 0
    started_at: datetime | None = None
    params: dict[str, Any] = {}
    secrets: list[str] = []
    cancelling: e.CancelCause | None = None
    cancel_reason: str = ""
    outcome: e.RunEnd | None = None
    outcome_reason: str = ""
    scheduled_at: str = ""
    recoveries: int = 0
    endings: int = 0
    jobs: dict[str, JobState] = {}
    interrupted: dict[tuple[str, str], Interruption] = {}

    def job(self, job_id: str) -> JobState:
        """Return the state of a job; one that nothing happened to is PENDING."""
        return self.jobs.get(job_id) or JobState()

    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return how many jobs, and how many steps, have each status."""
        jobs: dict[str, int] = {}
        steps: dict[str, int] = {}
        for job_id, job in self.jobs.items():
            if is_hook(job_id):
                continue
            jobs[job.status] = jobs.get(job.status, 0) + 1
            for step in job.steps.values():
                steps[step.status] = steps.get(step.status, 0) + 1
        return jobs, steps


# What may happen to a run, a job and a step, by the status it is in.
RUN_TABLE: dict[tuple[str, type[e.Event]], frozenset[str]] = {
    ("NEW", e.RunStarted): frozenset({"RUNNING"}),
    ("RUNNING", e.CancelRequested): frozenset({"RUNNING"}),
    ("RUNNING", e.HooksStarted): frozenset({"RUNNING"}),
    ("RUNNING", e.RunFinished): frozenset({"SUCCESS", "FAILED", "CANCELLED"}),
    **{
        (phase, e.RunResumed): frozenset({"RUNNING"})
        for phase in ("RUNNING", "SUCCESS", "FAILED", "CANCELLED")
    },
}
JOB_TABLE: dict[tuple[str, type[e.Event]], frozenset[str]] = {
    ("PENDING", e.JobStarted): frozenset({"RUNNING"}),
    ("PENDING", e.JobFinished): frozenset({"FAILED", "SKIPPED", "BLOCKED", "CANCELLED"}),
    ("RUNNING", e.JobFinished): frozenset({"SUCCESS", "FAILED", "SKIPPED", "CANCELLED"}),
}
STEP_TABLE: dict[tuple[str, type[e.Event]], frozenset[str]] = {
    ("PENDING", e.StepWaiting): frozenset({"PENDING"}),
    ("PENDING", e.StepStarted): frozenset({"RUNNING"}),
    ("PENDING", e.StepFinished): frozenset({"SKIPPED", "CANCELLED"}),
    (INTERRUPTED, e.StepWaiting): frozenset({INTERRUPTED}),
    (INTERRUPTED, e.StepStarted): frozenset({"RUNNING"}),
    (INTERRUPTED, e.StepFinished): frozenset({"FAILED", "SKIPPED", "CANCELLED"}),
    ("RUNNING", e.StepRetrying): frozenset({"PENDING"}),
    ("RUNNING", e.EffectIntended): frozenset({"RUNNING"}),
    ("RUNNING", e.EffectConfirmed): frozenset({"RUNNING"}),
    ("RUNNING", e.StepFinished): frozenset({"SUCCESS", "FAILED", "SKIPPED", "CANCELLED"}),
}


def fold(events: Iterable[e.Event]) -> RunState:
    """Return the state that these events lead to.

    Raises:
        IllegalEvent: one of them cannot follow those before it.
    """
    state = RunState()
    for event in events:
        apply(state, event)
    return state


def apply(state: RunState, event: e.Event) -> None:
    """Change the state by one event.

    Raises:
        IllegalEvent: the event cannot happen in this state; the state is unchanged.
    """
    if state.run_id and event.run_id != state.run_id:
        raise IllegalEvent(f"run {event.run_id}: the event belongs to another run than {state.run_id}")
    if isinstance(event, e.TRANSIENT):
        raise IllegalEvent(f"{type(event).__name__} is not part of a run's history")
    match event:
        case e.EffectIntended() | e.EffectConfirmed():
            _apply_to_effect(state, event)
        case e.StepEvent():
            _apply_to_step(state, event)
        case e.JobEvent():
            _apply_to_job(state, event)
        case _:
            _apply_to_run(state, event)


def _check(
    table: dict[tuple[str, type[e.Event]], frozenset[str]],
    status: str,
    event: e.Event,
    next_status: str,
    what: str,
) -> None:
    if next_status not in table.get((status, type(event)), ()):
        raise IllegalEvent(f"{what} is {status}: {type(event).__name__} to {next_status} cannot happen")


def _apply_to_step(state: RunState, event: e.StepEvent) -> None:
    where = f"step {event.job_id}.{event.step_id} of run {state.run_id}"
    job = state.jobs.get(event.job_id)
    if state.phase != "RUNNING" or job is None or job.status != "RUNNING":
        raise IllegalEvent(f"{where}: {type(event).__name__} while its job is not RUNNING")
    step = job.steps.get(event.step_id) or StepState()
    name = (event.job_id, event.step_id)
    status = INTERRUPTED if name in state.interrupted else step.status
    match event:
        case e.StepWaiting():
            _check(STEP_TABLE, status, event, status, where)
            step.step_type, step.attempt, step.error = event.step_type, event.attempt, None
            job.steps[event.step_id] = step
            return  # what cut the step off before is still to be known when it begins
        case e.StepStarted():
            _check(STEP_TABLE, status, event, "RUNNING", where)
            step.status, step.step_type, step.attempt = "RUNNING", event.step_type, event.attempt
            step.definition, step.error, step.reason = event.definition, None, ""
            step.version = event.version
        case e.StepRetrying():
            _check(STEP_TABLE, status, event, "PENDING", where)
            step.status, step.error = "PENDING", event.error
        case e.StepFinished():
            _check(STEP_TABLE, status, event, event.status, where)
            step.status, step.step_type, step.attempt = event.status, event.step_type, event.attempt
            step.outputs, step.job_outputs = event.outputs, event.job_outputs
            step.reason, step.error = event.reason, event.error
            step.effects = {} if event.status in DONE else step.effects
            state.recoveries = 0 if event.status in DONE else state.recoveries
            job.steps[event.step_id] = step
            if event.job_outputs:
                is_last = next(reversed(job.steps)) == event.step_id
                job.outputs = {**job.outputs, **event.job_outputs} if is_last else _promoted(job)
    job.steps[event.step_id] = step
    state.interrupted.pop(name, None)


def _apply_to_effect(state: RunState, event: e.EffectIntended | e.EffectConfirmed) -> None:
    where = f"step {event.job_id}.{event.step_id} of run {state.run_id}"
    job = state.jobs.get(event.job_id)
    step = job.steps.get(event.step_id) if job is not None and job.status == "RUNNING" else None
    if state.phase != "RUNNING" or step is None:
        raise IllegalEvent(f"{where}: {type(event).__name__} while it is not RUNNING")
    _check(STEP_TABLE, step.status, event, "RUNNING", where)
    if isinstance(event, e.EffectIntended):
        step.effects[event.key] = EffectState(event.detail)
        return
    known = step.effects.get(event.key)
    if known is None:
        raise IllegalEvent(f"{where}: the effect {event.key!r} is confirmed and was never intended")
    step.effects[event.key] = EffectState(known.detail, is_confirmed=True, result=event.result)


def _apply_to_job(state: RunState, event: e.JobEvent) -> None:
    where = f"job {event.job_id} of run {state.run_id}"
    if state.phase != "RUNNING":
        raise IllegalEvent(f"{where}: {type(event).__name__} while the run is {state.phase}")
    job = state.jobs.get(event.job_id) or JobState()
    match event:
        case e.JobStarted():
            _check(JOB_TABLE, job.status, event, "RUNNING", where)
            job.status, job.reason, job.error = "RUNNING", "", None
            job.items = event.items if event.items is not None else job.items
            job.when, job.for_each = event.when or job.when, event.for_each or job.for_each
        case e.JobFinished():
            _check(JOB_TABLE, job.status, event, event.status, where)
            job.status, job.reason, job.error = event.status, event.reason, event.error
            job.outputs = event.outputs or job.outputs
            job.when, job.for_each = event.when or job.when, event.for_each or job.for_each
    state.jobs[event.job_id] = job


def _apply_to_run(state: RunState, event: e.Event) -> None:
    where = f"run {event.run_id}"
    match event:
        case e.RunStarted():
            _check(RUN_TABLE, state.phase, event, "RUNNING", where)
            state.flow_id, state.run_id, state.params = event.flow_id, event.run_id, event.params
            state.phase, state.attempt, state.started_at = "RUNNING", 1, event.at
            state.scheduled_at, state.secrets = event.scheduled_at, event.secrets
        case e.RunResumed():
            _check(RUN_TABLE, state.phase, event, "RUNNING", where)
            state.phase, state.attempt, state.recoveries = "RUNNING", event.attempt, event.recoveries
            state.cancelling, state.cancel_reason = None, ""
            state.outcome, state.outcome_reason = None, ""
            state.endings = max(state.endings, event.ending_count)
            _forget(state, event.removed)
            _reopen(state, event)
        case e.CancelRequested():
            _check(RUN_TABLE, state.phase, event, "RUNNING", where)
            state.cancelling, state.cancel_reason = event.cause, event.reason
        case e.HooksStarted():
            _check(RUN_TABLE, state.phase, event, "RUNNING", where)
            state.outcome, state.outcome_reason = event.status, event.reason
            state.cancelling, state.cancel_reason = None, ""  # what ends the jobs does not end the ending
        case e.RunFinished():
            _check(RUN_TABLE, state.phase, event, event.status, where)
            state.phase, state.outcome_reason, state.recoveries = event.status, event.reason, 0
            state.endings += 1


def _forget(state: RunState, gone: Iterable[str]) -> None:
    """Take out what the flow has no more: what it did stays in the history only."""
    for name in gone:
        job_id, _, step_id = name.partition("/")
        if not step_id:
            state.jobs.pop(job_id, None)
        elif (job := state.jobs.get(job_id)) is not None:
            job.steps.pop(step_id, None)
    names = set(gone)
    for job_id, step_id in list(state.interrupted) if names else ():
        if job_id in names or step_entry(job_id, step_id) in names:
            del state.interrupted[job_id, step_id]


def _reopen(state: RunState, event: e.RunResumed) -> None:
    """Make everything that is not done, and what is named, PENDING again; note what was running."""
    rerun, reopened, left = frozenset(event.rerun), frozenset(event.reopened), frozenset(event.excluded_jobs)
    for job_id, job in state.jobs.items():
        if is_hook(job_id) and ending_of(job_id) <= state.endings:
            continue
        if left and job.status in ENDED_BADLY and family(job_id) in left:
            continue
        whole_job = job_id in rerun
        named = {step_id for step_id in job.steps if whole_job or step_entry(job_id, step_id) in rerun}
        if job.status in DONE and not whole_job and not named and job_id not in reopened:
            continue
        for step_id, step in job.steps.items():
            if step_id in named or step.status not in DONE:
                effects = {} if step_id in named else step.effects
                job.steps[step_id] = StepState(step_type=step.step_type, effects=effects)
                if step_id in named:
                    state.interrupted.pop((job_id, step_id), None)  # somebody wants it again: so be it
                elif step.status == "RUNNING":
                    state.interrupted[job_id, step_id] = Interruption(step.attempt, event.at)
        job.status, job.reason, job.error = "PENDING", "", None
        job.items, job.for_each = (None, "") if whole_job else (job.items, job.for_each)
        job.outputs = _promoted(job)


def _promoted(job: JobState) -> dict[str, Any]:
    """Return what the steps of a job promoted; of one key that several promoted, the last step's value."""
    outputs: dict[str, Any] = {}
    for step in job.steps.values():
        outputs.update(step.job_outputs)
    return outputs
