"""Decide what to do next: compute commands from the plan, the state and the latest event. Pure.

`decide` follows one event; `next_start` looks for the next job to begin, or ends the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from aetherflow.engine.commands import (
    CancelAttempt,
    CancelRun,
    Command,
    EndInterruptedStep,
    EndJob,
    EndRun,
    EndUnstartedStep,
    JoinAttempt,
    RunAttempt,
    ScheduleRetry,
    StartHooks,
    StartJob,
    StartStep,
)
from aetherflow.engine.opening import open_job
from aetherflow.engine.ready_queue import (
    WHOLE,
    JobInstance,
    ReadyQueue,
    hook_instance,
    instance_id,
    mapped_instance,
    whole_job,
)
from aetherflow.engine.state import DONE, JobState, RunState, StepState
from aetherflow.errors import ErrorInfo, FailureKind
from aetherflow.events import run_events as e
from aetherflow.language.dates import utc_text
from aetherflow.language.seen import Mask
from aetherflow.plan.hooks import hooks_for, is_hook
from aetherflow.plan.plan import Plan, StepPlan


def unmasked(value: Any) -> Any:
    """Return a value as it is, for a run without secrets."""
    return value


def decide(
    plan: Plan, state: RunState, ready_queue: ReadyQueue, event: e.Event, instance: JobInstance | None
) -> list[Command]:
    """Return the commands that follow from an event that was just applied.

    `instance` is the one that it is about, if it is an event of a job or a step.
    """
    if instance is None:
        if isinstance(event, e.CancelRequested):
            return [CancelAttempt(running) for running in ready_queue.running.values()]
        return []
    match event:
        case e.StepFinished():
            return _after_step(state, instance, ready_queue.at_step.get(instance.id), event)
        case e.StepStarted() | e.StepRetrying():
            return [_run_or_retry(state, ready_queue, instance, event)]
        case e.JobStarted():
            return _after_start(state, ready_queue, instance)
        case e.JobFinished():
            return _after_job(plan, state, ready_queue, instance, event)
        case _:
            return []


def next_start(
    plan: Plan, state: RunState, ready_queue: ReadyQueue, scope: Mapping[str, Any], mask: Mask = unmasked
) -> Command | None:
    """Return the command that starts or ends the next ready job, or ends the run; None if there is none.

    `scope` is what `when` and `for_each` see; `mask` masks the secrets among the values that are shown.
    """
    if state.phase != "RUNNING":
        return None
    if state.cancelling:
        if (instance := _next_unstarted(ready_queue)) is not None:
            status: e.JobEnd = "BLOCKED" if state.cancelling == "fail_fast" else "CANCELLED"
            return EndJob(instance, status, state.cancel_reason)
    elif ready_queue.has_room:
        instance, job = ready_queue.next_instance(), ready_queue.ready()
        if instance is not None and (job is None or instance.job.index < job.index):
            if ready_queue.has_room_for(instance.job):
                return StartJob(instance)
        elif job is not None and ready_queue.has_room_for(job):
            return open_job(state, ready_queue, job, scope, mask)
    if ready_queue.unfinished or ready_queue.running:
        return None
    return _next_after_jobs(plan, state)


def _next_unstarted(ready_queue: ReadyQueue) -> JobInstance | None:
    """Return a job or instance that a cancelled run will not start."""
    if (instance := ready_queue.next_instance(beyond_limits=True)) is not None:
        return instance
    job = ready_queue.ready()
    return None if job is None else whole_job(job)


def _after_start(state: RunState, ready_queue: ReadyQueue, instance: JobInstance) -> list[Command]:
    """Start the first step of a job; end a mapped job none of whose instances is left to run."""
    if instance.item != WHOLE or instance.job.for_each is None:
        return _next_step(state, instance, 0)
    if ready_queue.mapped_jobs[instance.job.index].unfinished:
        return []
    return [_end_mapped_job(state, instance)]


def _next_step(state: RunState, instance: JobInstance, number: int) -> list[Command]:
    """Start the first step from `number` on that is not done yet; end the job after the last."""
    steps = instance.job.steps
    done = state.jobs[instance.id].steps
    following: list[Command] = []
    while number < len(steps):
        known = done.get(steps[number].spec.id)
        if known is None or known.status not in DONE:
            if (followed := _unfollowed(steps[number], done)) is not None:
                if followed.status == "SKIPPED":
                    following.append(EndUnstartedStep(instance, steps[number], "SKIPPED", followed.reason))
                number += 1
                continue  # after a failure it stays PENDING: a resume may still have to run it
            if known is not None and known.status == "RUNNING":
                following.append(JoinAttempt(instance, number))  # of a resumed run, which has just begun
            elif state.cancelling:
                following.append(EndJob(instance, "CANCELLED", state.cancel_reason))
            else:
                following.append(_end_interrupted(state, instance, number) or StartStep(instance, number))
            return following
        if known.status == "SKIPPED" and _skips_rest(steps[number], known):
            return following + _skip_rest(state.jobs[instance.id], instance, number + 1, known.reason)
        number += 1
    following.append(EndJob(instance, "SUCCESS", outputs=state.jobs[instance.id].outputs))
    return following


def _unfollowed(step: StepPlan, done: Mapping[str, StepState]) -> StepState | None:
    """Return the step that another one follows if it did not succeed: then that one does not run."""
    followed = done.get(step.follows)
    return None if followed is None or followed.status == "SUCCESS" else followed


def _end_interrupted(state: RunState, instance: JobInstance, number: int) -> EndInterruptedStep | None:
    """Return the end of a step that was interrupted, unless it may run again."""
    step = instance.job.steps[number]
    interruption = state.interrupted.get((instance.id, step.spec.id))
    if interruption is None:
        return None
    how = f"its process had died, noticed at {utc_text(interruption.noticed_at, 'seconds')}"
    end = interrupted_end(step, instance.id, interruption.attempt, how)
    return None if end is None else EndInterruptedStep(instance, number, *end)


class InterruptedEnd(NamedTuple):
    """The end of an interrupted step, as `StepFinished` has it."""

    status: Literal["FAILED", "SKIPPED"]
    reason: str = ""
    error: ErrorInfo | None = None


def interrupted_end(
    step: StepPlan, job_id: str, attempt: int, how: str, kind: FailureKind = "other"
) -> InterruptedEnd | None:
    """Return how a step ends whose last attempt was interrupted; None if it may run again.

    Args:
        step: the step.
        job_id: its job, or the instance of one.
        attempt: the number of the attempt.
        how: why nobody knows how it ended.
        kind: what the failure counts as.
    """
    if step.spec.on_interrupt == "rerun":
        return None
    if step.spec.on_interrupt == "skip":
        return InterruptedEnd("SKIPPED", "interrupted, on_interrupt: skip")
    again = f"--rerun {job_id}.{step.spec.id} runs it again"
    if not step.spec.continue_on_error:
        again = "resume the run once more, and it runs again"
    error = ErrorInfo(
        code="AF713",
        message=f"the step was interrupted at attempt {attempt} ({how}) "
        "and must not be repeated (on_interrupt: fail)",
        kind=kind,
        hint=f"find out what it did; {again}",
    )
    return InterruptedEnd("FAILED", error=error)


def _skips_rest(step: StepPlan, ended: StepState | e.StepFinished) -> bool:
    """Whether the job ends SKIPPED with this step; not if it was skipped only because it was interrupted."""
    return step.spec.on_no_data == "skip_job" and not ended.was_interrupted


def _run_or_retry(
    state: RunState, ready_queue: ReadyQueue, instance: JobInstance, event: e.StepStarted | e.StepRetrying
) -> Command:
    """Run the attempt, or schedule the next one; a run that is being cancelled does neither."""
    step = instance.job.steps[ready_queue.at_step[instance.id]]
    if state.cancelling:
        return EndUnstartedStep(instance, step, "CANCELLED", state.cancel_reason)
    if isinstance(event, e.StepRetrying):
        return ScheduleRetry(instance, step, event.attempt + 1, event.wait_seconds)
    return RunAttempt(instance, step, event.attempt)


def _after_step(
    state: RunState, instance: JobInstance, number: int | None, event: e.StepFinished
) -> list[Command]:
    """Start the next step, or end the job, as the flow wants it after such an end."""
    if number is None or event.step_id != instance.job.steps[number].spec.id:
        return []  # one that did not run, of a skipped job
    step = instance.job.steps[number]
    match event.status:
        case "SKIPPED" if _skips_rest(step, event):
            return _skip_rest(state.jobs[instance.id], instance, number + 1, event.reason)
        case "FAILED" if not step.spec.continue_on_error or _ends_job(event.error):
            outputs = state.jobs[instance.id].outputs
            return [EndJob(instance, "FAILED", f"step {event.step_id} failed", event.error, outputs)]
        case "CANCELLED":
            return [EndJob(instance, "CANCELLED", state.cancel_reason or event.reason)]
        case _:
            return _next_step(state, instance, number + 1)


def _ends_job(error: ErrorInfo | None) -> bool:
    """Whether a failure ends its job in spite of `continue_on_error`: it has no lock, or no time left."""
    return error is not None and error.cause != ""


def _skip_rest(job: JobState, instance: JobInstance, number: int, reason: str) -> list[Command]:
    """End the steps from `number` on, and the job, SKIPPED."""
    following: list[Command] = []
    for step in instance.job.steps[number:]:
        known = job.steps.get(step.spec.id)
        if known is None or known.status == "PENDING":
            following.append(EndUnstartedStep(instance, step, "SKIPPED", reason))
    following.append(EndJob(instance, "SKIPPED", reason or "no data", outputs=job.outputs))
    return following


def _after_job(
    plan: Plan, state: RunState, ready_queue: ReadyQueue, instance: JobInstance, event: e.JobFinished
) -> list[Command]:
    """Cancel the run if it fails fast; end what belongs to a mapped job."""
    following: list[Command] = []
    failed_fast = event.status == "FAILED" and plan.flow.fail_fast and not is_hook(instance.id)
    if failed_fast and not state.cancelling:
        following.append(CancelRun(f"fail_fast: job {instance.id} failed", "fail_fast"))
    if instance.job.for_each is None:
        return following
    if instance.item == WHOLE:
        following += _end_instances(state, instance, event.status)
    elif (mapped := ready_queue.mapped_jobs.get(instance.job.index)) is not None and not mapped.unfinished:
        following.append(_end_mapped_job(state, whole_job(instance.job)))
    return following


def _end_instances(state: RunState, instance: JobInstance, end: e.JobEnd) -> Iterator[EndJob]:
    """End the instances of an earlier execution that a mapped job has ended without.

    It did not begin again, or its list has become shorter.
    """
    items = state.jobs[instance.id].items
    number = 0
    while (known := state.jobs.get(instance_id(instance.job.id, number))) is not None:
        if known.status == "PENDING":
            is_beyond = end == "SKIPPED" or (items is not None and number >= len(items))
            status: e.JobEnd = "SKIPPED" if is_beyond else "CANCELLED" if end == "CANCELLED" else "BLOCKED"
            yield EndJob(mapped_instance(instance.job, number), status, f"job {instance.id} ended without it")
        number += 1


def _end_mapped_job(state: RunState, instance: JobInstance) -> EndJob:
    """End a mapped job: its outputs are the lists of its instances' outputs, in item order."""
    items = state.jobs[instance.id].items or []
    instances = [state.job(instance_id(instance.job.id, number)) for number in range(len(items))]
    statuses = {job.status for job in instances}
    failed = [instance_id(instance.job.id, i) for i, job in enumerate(instances) if job.status == "FAILED"]
    keys = {key: None for step in instance.job.steps for key in step.spec.outputs}
    outputs = {key: [job.outputs.get(key) for job in instances] for key in keys}
    if failed:
        first = state.job(failed[0]).error
        reason = f"{len(failed)} of {len(items)} instances failed, the first is {failed[0]}"
        return EndJob(instance, "FAILED", reason, first, outputs)
    if statuses & {"CANCELLED", "BLOCKED"}:
        return EndJob(instance, "CANCELLED", state.cancel_reason, outputs=outputs)
    if statuses == {"SKIPPED"}:
        return EndJob(instance, "SKIPPED", "every instance was skipped", outputs=outputs)
    return EndJob(instance, "SUCCESS", outputs=outputs)


def _next_after_jobs(plan: Plan, state: RunState) -> Command:
    """Start the hooks for the way in which the jobs ended, one after the other; then end the run."""
    if state.outcome is None:
        status, reason = _outcome(plan, state)
        if not hooks_for(plan, status):
            return EndRun(status, reason)
        return StartHooks(status, reason)
    for job in hooks_for(plan, state.outcome):
        instance = hook_instance(job, state.endings)
        if state.job(instance.id).status == "PENDING":
            if state.cancelling:
                return EndJob(instance, "CANCELLED", state.cancel_reason)
            return StartJob(instance)
    return EndRun(state.outcome, state.outcome_reason)


def _outcome(plan: Plan, state: RunState) -> tuple[e.RunEnd, str]:
    """Return how the jobs ended, and why if it is not the failure of one of them."""
    statuses = {state.job(job.id).status for job in plan.jobs}
    if state.cancelling == "timeout":
        return "FAILED", state.cancel_reason
    if "CANCELLED" in statuses and (state.cancelling == "request" or "FAILED" not in statuses):
        return "CANCELLED", state.cancel_reason or "a job that took no part is CANCELLED"
    if "FAILED" in statuses:
        return "FAILED", state.cancel_reason
    return "SUCCESS", ""
