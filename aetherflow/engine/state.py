"""The state of a run, computed from its events in order. Pure: no clock, no I/O, no randomness.

Theory of operation
-------------------
A run is the list of its events, and nothing else. `fold` reads them from the first to the last; `apply`
takes the state one event further. It is the only writer of the state, so that a live run (`RunMachine`), a
resumed one and a report lead to the same state from the same events. What may follow what is a table
(`aetherflow.engine.transitions`): an event that it does not allow is a bug or a damaged journal, and raises
`IllegalEvent`, from any sender, before anything has changed.

A run is NEW, RUNNING, then SUCCESS, FAILED or CANCELLED. A RUNNING run has three phases that need no
status: its jobs run; the jobs are cancelled (`cancelling`); its hooks run (`outcome` is set: how the jobs
ended). Jobs and steps are PENDING, RUNNING, then ended; a job happens only in a RUNNING run, a step only in
a RUNNING job. A mapped job (`for_each`) is a job, and each of its instances is one more, `JOB[n]`; a hook
is a job, `@on_exit`.

A process may die at any event. Its run stays RUNNING in the journal, as does the step at work. A resume is
one more event, `RunResumed`: it says which entries run again, which jobs take no part and what the flow has
lost, all decided before (`aetherflow.engine.resume`), so that the fold decides nothing. It keeps what is
done (SUCCESS, SKIPPED) and makes the rest PENDING again. A step that was RUNNING becomes INTERRUPTED:
PENDING, but remembered in `interrupted` until it begins again, since `on_interrupt` may want it to fail or
to be skipped instead. INTERRUPTED is no stored status; the table has rows for it, as it has for the others.
A step whose attempt a worker still has (`reattached`) was not cut off: it stays RUNNING, and its job, PENDING
like the others, continues with it.

A run that has ended can be resumed and ends again. The hooks of each ending are jobs of their own
(`@on_exit`, `@on_exit.2`); those of endings that are over (`endings`) stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from sys import intern
from typing import Any, Literal

import msgspec

from aetherflow.engine.transitions import (
    INTERRUPTED,
    JOB_TABLE,
    PARENT,
    RUN_TABLE,
    STEP_TABLE,
    IllegalEvent,
    check_parent,
    check_transition,
    described,
)
from aetherflow.errors import ErrorInfo
from aetherflow.events import run_events as e
from aetherflow.events.marks import Mark
from aetherflow.events.stale_readers import job_of
from aetherflow.plan.hooks import ending_of, is_hook
from aetherflow.ports import EffectState
from aetherflow.spec.flow import JobStatus, StepStatus

RunPhase = Literal["NEW", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"]

DONE: frozenset[str] = frozenset({"SUCCESS", "SKIPPED"})
"""The statuses that a resume keeps."""

ENDED_BADLY: frozenset[str] = frozenset({"FAILED", "BLOCKED", "CANCELLED"})
"""The statuses of jobs that run again after a resume, unless the job takes no part."""


_NOTHING: dict[str, Any] = {}
"""What all jobs and steps share instead of an empty dict each; nothing is ever added to it."""


def _nothing() -> dict[str, Any]:
    return _NOTHING


def step_entry(job_id: str, step_id: str) -> str:
    """Return how `RunResumed.rerun` names a step: ids may hold dots, but no slash."""
    return f"{job_id}/{step_id}"


def closed_endings(state: RunState, rerun: Sequence[str]) -> int:
    """Return how many endings are over when a run is resumed.

    A run whose hooks were cut off when its process died resumes them only if nothing that they followed runs
    again; else the run ends once more, with hooks of its own.
    """
    was_cut_off = state.phase == "RUNNING" and state.outcome is not None
    return state.endings + (was_cut_off and (state.outcome != "SUCCESS" or bool(rerun)))


def plan_job_id(job_id: str) -> str:
    """Return the id of the job in the flow: for an instance `JOB[n]` it is `JOB`."""
    return job_id.partition("[")[0]


class StepPlace(msgspec.Struct, frozen=True, gc=False):
    """Where the last attempt of a step runs or ran: a worker of an executor, which began it at `since`."""

    executor: str
    worker: str
    host: str
    since: datetime


class StepState(msgspec.Struct, gc=False):
    """The state of one step.

    Attributes:
        executor: the executor that its last attempt was given to; empty: none, it ran in the run's process.
        place: the worker that has begun that attempt; None while none has, and if there is no executor.
        effects: by key; forgotten when the step is done.
        was_interrupted: it ended without running again after an interruption.
        began: when its last attempt began, or it was SKIPPED, in events of the run; 0: not yet.
    """

    status: StepStatus = "PENDING"
    step_type: str = ""
    attempt: int = 0
    definition: str = ""
    outputs: dict[str, Any] = msgspec.field(default_factory=_nothing)
    job_outputs: dict[str, Any] = msgspec.field(default_factory=_nothing)
    reason: str = ""
    error: ErrorInfo | None = None
    version: str = ""
    effects: dict[str, EffectState] = {}
    was_interrupted: bool = False
    began: int = 0
    executor: str = ""
    place: StepPlace | None = None


class Interruption(msgspec.Struct, frozen=True, gc=False):
    """An attempt of a step was running when its process died; `noticed_at` is when the run was resumed."""

    attempt: int
    noticed_at: datetime


class JobState(msgspec.Struct, gc=False):
    """The state of one job; its outputs are those that its steps promoted, in step order.

    Attributes:
        when: fingerprint of the gate that was evaluated last.
        for_each: fingerprint of what listed the items, or listed none.
        began: when it began last, or was SKIPPED without, in events of the run; 0: not yet.
        listed: when its items were listed, in the same way.
    """

    status: JobStatus = "PENDING"
    outputs: dict[str, Any] = msgspec.field(default_factory=_nothing)
    steps: dict[str, StepState] = {}
    items: e.Items | None = None
    reason: str = ""
    error: ErrorInfo | None = None
    when: str = ""
    for_each: str = ""
    began: int = 0
    listed: int = 0


class MarkOfRun(msgspec.Struct, frozen=True, gc=False):
    """A high-water mark that a step of the run has used.

    Attributes:
        before: what the step started from; if it runs again, it starts from there again.
        set_count: how often people had set the mark by then.
    """

    job_id: str
    step_id: str
    before: Mark | None = None
    set_count: int = 0


class RunState(msgspec.Struct, gc=False):
    """The state of one run.

    Attributes:
        cancelling: why the jobs are being cancelled, while they are.
        outcome: how the jobs ended, while the hooks run.
        endings: how often the run has ended; a resumed run ends again.
        secrets: the parameters that a resume must be given again: only a mask of them is stored.
        scheduled_at: the time for which the run was scheduled; empty: the time when it started.
        timezone: the zone of the run's dates; empty: UTC.
        recoveries: how often in a row a server died in a step of the run, and no step has succeeded since.
        interrupted: the steps that were cut off and have not begun again, by job id and step id.
        reattached: the steps whose attempts go on, on workers, since the run was resumed: job id, step id.
        marks: the marks that steps have used successfully, by name.
        event_count: how many events have led here.
        stale: the readers whose results are stale, with what they had read, as its last event has it.
        traceparent, tracestate: see `RunStarted`.
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
    timezone: str = ""
    recoveries: int = 0
    endings: int = 0
    jobs: dict[str, JobState] = {}
    interrupted: dict[tuple[str, str], Interruption] = {}
    reattached: set[tuple[str, str]] = set()
    marks: dict[str, MarkOfRun] = {}
    event_count: int = 0
    stale: dict[str, list[str]] = {}
    traceparent: str = ""
    tracestate: str = ""

    def job(self, job_id: str) -> JobState:
        """Return the state of a job; PENDING if it has no events yet."""
        return self.jobs.get(job_id) or JobState()

    def counts(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """Return how many jobs with their instances, how many of them are instances, and how many steps.

        Each by status; without hooks.
        """
        counted = {job_id: job for job_id, job in self.jobs.items() if not is_hook(job_id)}
        jobs = Counter[str](job.status for job in counted.values())
        instances = Counter[str](job.status for job_id, job in counted.items() if job_of(job_id) != job_id)
        steps = Counter[str](step.status for job in counted.values() for step in job.steps.values())
        return dict(jobs), dict(instances), dict(steps)


def fold(events: Iterable[e.Event], state: RunState | None = None) -> RunState:
    """Return the state that these events lead to, from the beginning or from `state`, which they change.

    Raises:
        IllegalEvent: one of them cannot follow those before it.
    """
    state = RunState() if state is None else state
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
    change = _CHANGES.get(type(event))
    if change is None:
        raise IllegalEvent(f"{type(event).__name__} is not part of a run's history")
    change(state, event)
    state.event_count += 1


def _step_of(state: RunState, event: e.StepEvent) -> tuple[JobState, StepState, str]:
    """Return the job and the step that an event is about, and the step's status for the table."""
    job = state.jobs.get(event.job_id) or JobState()
    check_parent(job.status if state.phase == PARENT else state.phase, event)
    step = job.steps.get(event.step_id) or StepState()
    if state.interrupted and (event.job_id, event.step_id) in state.interrupted:
        return job, step, INTERRUPTED
    return job, step, step.status


def _keep_step(state: RunState, job: JobState, step: StepState, event: e.StepEvent) -> None:
    """Keep a step that has begun or ended: its interruption is over."""
    job.steps[event.step_id] = step
    if state.interrupted:
        state.interrupted.pop((event.job_id, event.step_id), None)
    if state.reattached:
        state.reattached.discard((event.job_id, event.step_id))


def _step_waits(state: RunState, event: e.StepWaiting) -> None:
    job, step, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, status)
    step.step_type, step.attempt, step.error = event.step_type, event.attempt, None
    job.steps[event.step_id] = step  # an interruption is still to be known when the step begins


def _step_started(state: RunState, event: e.StepStarted) -> None:
    job, step, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, "RUNNING")
    step.status, step.step_type, step.attempt = "RUNNING", intern(event.step_type), event.attempt
    step.definition, step.error, step.reason = event.definition, None, ""
    step.version, step.began = intern(event.version), state.event_count  # few texts, in many events
    step.executor, step.place = intern(event.executor), None
    _keep_step(state, job, step, event)


def _step_placed(state: RunState, event: e.StepPlaced) -> None:
    _, step, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, status)
    since = event.at
    if event.is_reattached and step.place is not None:
        since = step.place.since  # the worker had begun it then
    step.place = StepPlace(intern(event.executor), event.worker, event.host, since)


def _result_refused(state: RunState, event: e.ResultRefused) -> None:
    """Change nothing; unlike other events of a step, it may come when the job has ended."""
    if state.phase != PARENT:
        raise IllegalEvent(f"{described(event)}: {type(event).__name__} while its run is {state.phase}")
    job = state.jobs.get(event.job_id) or JobState()
    step = job.steps.get(event.step_id) or StepState()
    if event.attempt > step.attempt:
        raise IllegalEvent(f"{described(event)}: its attempt {event.attempt} has not begun")
    status = INTERRUPTED if (event.job_id, event.step_id) in state.interrupted else step.status
    check_transition(STEP_TABLE, status, event, status)


def _step_retries(state: RunState, event: e.StepRetrying) -> None:
    job, step, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, "PENDING")
    step.status, step.error = "PENDING", event.error
    _keep_step(state, job, step, event)


def _step_finished(state: RunState, event: e.StepFinished) -> None:
    job, step, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, event.status)
    step.status, step.step_type, step.attempt = event.status, intern(event.step_type), event.attempt
    step.outputs, step.job_outputs = event.outputs or _NOTHING, event.job_outputs or _NOTHING
    step.reason, step.error = event.reason, event.error
    step.was_interrupted = event.was_interrupted
    if event.status == "SKIPPED" and not step.began:
        step.began = state.event_count
    if event.status in DONE:
        step.effects, state.recoveries = _NOTHING, 0  # none is added: a step that runs again has its own
    for name, use in event.marks.items():
        state.marks[name] = MarkOfRun(event.job_id, event.step_id, use.before, use.set_count)
    _keep_step(state, job, step, event)
    if event.job_outputs:
        is_last = next(reversed(job.steps)) == event.step_id
        job.outputs = {**job.outputs, **event.job_outputs} if is_last else _promoted(job)


def _lock_noted(state: RunState, event: e.LockAwaited | e.LockTaken) -> None:
    _, _, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, status)


def _effect_noted(state: RunState, event: e.EffectIntended | e.EffectConfirmed) -> None:
    _, step, status = _step_of(state, event)
    check_transition(STEP_TABLE, status, event, status)
    if isinstance(event, e.EffectIntended):
        step.effects[event.key] = EffectState(event.detail)
        return
    known = step.effects.get(event.key)
    if known is None:
        raise IllegalEvent(
            f"{described(event)}: the effect {event.key!r} is confirmed but was never intended"
        )
    step.effects[event.key] = EffectState(known.detail, is_confirmed=True, result=event.result)


def _job_started(state: RunState, event: e.JobStarted) -> None:
    check_parent(state.phase, event)
    job = state.jobs.get(event.job_id) or JobState()
    check_transition(JOB_TABLE, job.status, event, "RUNNING")
    job.status, job.reason, job.error, job.began = "RUNNING", "", None, state.event_count
    job.listed = state.event_count if event.for_each else job.listed
    job.items = event.items if event.items is not None else job.items
    job.when, job.for_each = event.when or job.when, event.for_each or job.for_each
    state.jobs[event.job_id] = job


def _job_finished(state: RunState, event: e.JobFinished) -> None:
    check_parent(state.phase, event)
    job = state.jobs.get(event.job_id) or JobState()
    check_transition(JOB_TABLE, job.status, event, event.status)
    if event.status == "SKIPPED" and job.status == "PENDING":
        job.began = state.event_count
    job.status, job.reason, job.error = event.status, event.reason, event.error
    job.outputs = event.outputs or job.outputs
    job.when, job.for_each = event.when or job.when, event.for_each or job.for_each
    state.jobs[event.job_id] = job


def _run_started(state: RunState, event: e.RunStarted) -> None:
    check_transition(RUN_TABLE, state.phase, event, "RUNNING")
    state.flow_id, state.run_id, state.params = event.flow_id, event.run_id, event.params
    state.phase, state.attempt, state.started_at = "RUNNING", 1, event.at
    state.scheduled_at, state.secrets = event.scheduled_at, event.secrets
    state.timezone = event.timezone
    state.traceparent, state.tracestate = event.traceparent, event.tracestate


def _run_resumed(state: RunState, event: e.RunResumed) -> None:
    check_transition(RUN_TABLE, state.phase, event, "RUNNING")
    state.phase, state.attempt, state.recoveries = "RUNNING", event.attempt, event.recoveries
    state.cancelling, state.cancel_reason = None, ""
    state.outcome, state.outcome_reason, state.stale = None, "", event.stale
    state.endings = max(state.endings, event.ending_count)
    state.reattached = set()
    _forget(state, event.removed)
    _reopen(state, event)


def _cancel_requested(state: RunState, event: e.CancelRequested) -> None:
    check_transition(RUN_TABLE, state.phase, event, "RUNNING")
    state.cancelling, state.cancel_reason = event.cause, event.reason


def _hooks_started(state: RunState, event: e.HooksStarted) -> None:
    check_transition(RUN_TABLE, state.phase, event, "RUNNING")
    state.outcome, state.outcome_reason = event.status, event.reason
    state.cancelling, state.cancel_reason = None, ""  # a cancellation of the jobs does not cancel the hooks


def _run_finished(state: RunState, event: e.RunFinished) -> None:
    check_transition(RUN_TABLE, state.phase, event, event.status)
    state.phase, state.outcome_reason, state.recoveries = event.status, event.reason, 0
    state.endings, state.stale = state.endings + 1, event.stale


_CHANGES: Mapping[type[e.Event], Callable[[RunState, Any], None]] = {
    e.RunStarted: _run_started,
    e.RunResumed: _run_resumed,
    e.CancelRequested: _cancel_requested,
    e.HooksStarted: _hooks_started,
    e.RunFinished: _run_finished,
    e.JobStarted: _job_started,
    e.JobFinished: _job_finished,
    e.StepWaiting: _step_waits,
    e.StepStarted: _step_started,
    e.StepPlaced: _step_placed,
    e.ResultRefused: _result_refused,
    e.StepRetrying: _step_retries,
    e.StepFinished: _step_finished,
    e.LockAwaited: _lock_noted,
    e.LockTaken: _lock_noted,
    e.EffectIntended: _effect_noted,
    e.EffectConfirmed: _effect_noted,
}
"""What each kind of event changes; a kind that is not here is not part of a run's history."""


def _forget(state: RunState, removed: Sequence[str]) -> None:
    """Remove jobs and steps that the flow no longer has; the journal still has their history."""
    for name in removed:
        job_id, _, step_id = name.partition("/")
        if not step_id:
            state.jobs.pop(job_id, None)
        elif (job := state.jobs.get(job_id)) is not None:
            job.steps.pop(step_id, None)
    names = set(removed)
    for job_id, step_id in list(state.interrupted) if names else ():
        if job_id in names or step_entry(job_id, step_id) in names:
            del state.interrupted[job_id, step_id]


def _reopen(state: RunState, event: e.RunResumed) -> None:
    """Make everything that is not done, and what is named, PENDING again; note what was running."""
    rerun, reopened = frozenset(event.rerun), frozenset(event.reopened)
    excluded, reattached = frozenset(event.excluded_jobs), frozenset(event.reattached)
    for job_id, job in state.jobs.items():
        if is_hook(job_id) and ending_of(job_id) <= state.endings:
            continue
        if excluded and job.status in ENDED_BADLY and plan_job_id(job_id) in excluded:
            continue
        whole_job = job_id in rerun
        named = {step_id for step_id in job.steps if whole_job or step_entry(job_id, step_id) in rerun}
        if job.status in DONE and not whole_job and not named and job_id not in reopened:
            continue
        for step_id, step in job.steps.items():
            if step.status == "RUNNING" and step_entry(job_id, step_id) in reattached:
                state.reattached.add((job_id, step_id))
            elif step_id in named or step.status not in DONE:
                _reopen_step(state, job_id, step_id, event.at, is_named=step_id in named)
        job.status, job.reason, job.error = "PENDING", "", None
        if whole_job:
            job.items, job.for_each, job.began, job.listed = None, "", 0, 0
        job.outputs = _promoted(job)


def _reopen_step(state: RunState, job_id: str, step_id: str, at: datetime, *, is_named: bool) -> None:
    steps = state.jobs[job_id].steps
    step = steps[step_id]
    steps[step_id] = StepState(step_type=step.step_type, effects={} if is_named else step.effects)
    if is_named:
        state.interrupted.pop((job_id, step_id), None)  # explicitly requested: forget the interruption
    elif step.status == "RUNNING":
        state.interrupted[job_id, step_id] = Interruption(step.attempt, at)


def _promoted(job: JobState) -> dict[str, Any]:
    """Return what the steps of a job promoted; of one key that several promoted, the last step's value."""
    outputs: dict[str, Any] = {}
    for step in job.steps.values():
        outputs.update(step.job_outputs)
    return outputs
