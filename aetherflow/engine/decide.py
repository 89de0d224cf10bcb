"""What to do next: from the plan, the state and the event that just happened to commands. Pure.

Commands say what shall be; the ring turns those that need no work into events at once, the executor
performs the others after their events are durable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from aetherflow.engine import events as e
from aetherflow.engine.frontier import WHOLE, Frontier, Unit, hook, instance, instance_id, whole
from aetherflow.engine.plan import JobPlan, Plan, StepPlan
from aetherflow.engine.state import DONE, HOOK, JobState, RunState, is_hook
from aetherflow.errors import AetherFlowError, ErrorInfo

JOB_TIMEOUT = "AF711"
"""Code of a step that was ended because its job's time was over."""

INTERRUPTED = "AF713"
"""Code of a step that was interrupted and must not be repeated."""

PASSED_OVER = "interrupted, on_interrupt: skip"
"""Reason of a step that was interrupted and is skipped; `on_no_data` does not follow from it."""


class Command(msgspec.Struct, frozen=True, gc=False):
    """The base of all commands."""


class StartJob(Command, frozen=True):
    """Begin a job, or go on with it after a resume."""

    unit: Unit
    items: e.Items | None = None


class EndJob(Command, frozen=True):
    """Nothing more is to be done for this job.

    Attributes:
        decided_by: what the flow says, by which a job is SKIPPED before it begins.
    """

    unit: Unit
    status: e.JobEnd
    reason: str = ""
    error: ErrorInfo | None = None
    outputs: dict[str, Any] = {}
    decided_by: Literal["", "when", "for_each"] = ""


class StartStep(Command, frozen=True):
    """Begin the first attempt of a step."""

    unit: Unit
    number: int


class EndStep(Command, frozen=True):
    """A step that does not run ends all the same."""

    unit: Unit
    step: StepPlan
    status: e.StepEnd
    reason: str


class SettleStep(Command, frozen=True):
    """End a step that was interrupted and shall not run again (`on_interrupt`)."""

    unit: Unit
    number: int
    status: e.StepEnd
    reason: str = ""
    error: ErrorInfo | None = None


class Work(Command, frozen=True):
    """Execute an attempt of a step (its start is durable by then)."""

    unit: Unit
    step: StepPlan
    attempt: int


class WaitAndRetry(Command, frozen=True):
    """Start another attempt of a step after a wait, in seconds."""

    unit: Unit
    step: StepPlan
    attempt: int
    seconds: float


class StopWork(Command, frozen=True):
    """Cancel what runs for this job."""

    unit: Unit


class CancelRun(Command, frozen=True):
    """Stop the run by a rule of its own."""

    reason: str
    cause: e.CancelCause


class BeginEnding(Command, frozen=True):
    """All jobs have ended; the flow's ending steps follow."""

    status: e.RunEnd
    reason: str = ""


class EndRun(Command, frozen=True):
    """Everything has ended."""

    status: e.RunEnd
    reason: str = ""


def decide(plan: Plan, state: RunState, frontier: Frontier, event: e.Event) -> Iterator[Command]:
    """Yield what follows from an event that was just applied."""
    match event:
        case e.JobStarted():
            unit = frontier.unit(event.job_id)
            if unit.item != WHOLE or unit.job.for_each is None:
                yield from _next_step(state, unit, 0)
            elif not frontier.fans[unit.job.index].unfinished:
                yield _gather(state, unit)
        case e.StepStarted() | e.StepRetrying():
            yield _attempt(state, frontier, event)
        case e.StepFinished():
            unit = frontier.unit(event.job_id)
            yield from _after_step(state, unit, frontier.at_step.get(event.job_id), event)
        case e.JobFinished():
            yield from _after_job(plan, state, frontier, event)
        case e.CancelRequested():
            yield from (StopWork(unit) for unit in list(frontier.running.values()))
        case _:
            pass


def admit(plan: Plan, state: RunState, frontier: Frontier, scope: Mapping[str, Any]) -> Command | None:
    """Return the next command that starts or ends a job that waits for nothing more, or ends the run.

    `scope` is what `when` and `for_each` see.
    """
    if state.phase != "RUNNING":
        return None
    if state.cancelling:
        if (unit := _next_unstarted(frontier)) is not None:
            status: e.JobEnd = "BLOCKED" if state.cancelling == "fail_fast" else "CANCELLED"
            return EndJob(unit, status, state.cancel_reason)
    elif frontier.has_room:
        unit, job = frontier.next_instance(), frontier.ready()
        if unit is not None and (job is None or unit.job.index < job.index):
            return StartJob(unit)
        if job is not None:
            return _open_job(state, frontier, job, scope)
    if frontier.unfinished or frontier.running:
        return None
    return _next_of_ending(plan, state)


def _next_unstarted(frontier: Frontier) -> Unit | None:
    """Return a job, or an instance, that a cancelled run will not start any more."""
    if (unit := frontier.next_instance(beyond_limits=True)) is not None:
        return unit
    job = frontier.ready()
    return None if job is None else whole(job)


def _open_job(state: RunState, frontier: Frontier, job: JobPlan, scope: Mapping[str, Any]) -> Command:
    """Start a ready job, unless a job it needs did not succeed or its gate is closed."""
    unit = whole(job)
    if (culprit := frontier.blocked_by.get(job.index)) is not None:
        return EndJob(unit, "BLOCKED", f"job {culprit} did not succeed")
    try:
        if job.when is not None and not job.when.evaluate(scope):
            return EndJob(unit, "SKIPPED", f"when: {job.when.text} is false", decided_by="when")
        if job.for_each is None:
            return StartJob(unit)
        if (known := state.job(job.id).items) is not None:
            return StartJob(unit, known)  # a resumed run goes on with the items it began with
        items = job.for_each.render(scope)
    except AetherFlowError as error:
        return EndJob(unit, "FAILED", error=error.info())
    if not isinstance(items, list | tuple):
        kind = type(items).__name__
        problem = ErrorInfo(code="AF712", message=f"for_each of job {job.id} must give a list, not {kind}")
        return EndJob(unit, "FAILED", error=problem)
    if not items:
        return EndJob(unit, "SKIPPED", "for_each: no items", decided_by="for_each")
    return StartJob(unit, list(items))


def _next_step(state: RunState, unit: Unit, number: int) -> Iterator[Command]:
    """Start the first step from `number` on that is not done yet; end the job after the last."""
    steps = unit.job.steps
    done = state.jobs[unit.id].steps
    while number < len(steps):
        known = done.get(steps[number].spec.id)
        if known is None or known.status not in DONE:
            if state.cancelling:
                yield EndJob(unit, "CANCELLED", state.cancel_reason)
            else:
                yield _settle(state, unit, number) or StartStep(unit, number)
            return
        if known.status == "SKIPPED" and _skips_rest(steps[number], known.reason):
            yield from _skip_rest(state.jobs[unit.id], unit, number + 1, known.reason)
            return
        number += 1
    yield EndJob(unit, "SUCCESS", outputs=state.jobs[unit.id].outputs)


def _settle(state: RunState, unit: Unit, number: int) -> SettleStep | None:
    """Return the end of a step that was interrupted, unless it may run again."""
    spec = unit.job.steps[number].spec
    interruption = state.interrupted.get((unit.id, spec.id))
    if interruption is None or spec.on_interrupt == "rerun":
        return None
    if spec.on_interrupt == "skip":
        return SettleStep(unit, number, "SKIPPED", PASSED_OVER)
    again = f"--rerun {unit.id}.{spec.id} runs it again"
    if not spec.continue_on_error:
        again = "resume the run once more, and it runs again"
    noticed = interruption.noticed_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    error = ErrorInfo(
        code=INTERRUPTED,
        message=f"the step was interrupted at attempt {interruption.attempt} (its process had died, "
        f"noticed at {noticed}) and must not be repeated (on_interrupt: fail)",
        hint=f"find out what it did; {again}",
    )
    return SettleStep(unit, number, "FAILED", error=error)


def _skips_rest(step: StepPlan, reason: str) -> bool:
    """Whether the job ends SKIPPED because this step was, for this reason."""
    return step.skips_job and reason != PASSED_OVER


def _attempt(state: RunState, frontier: Frontier, event: e.StepStarted | e.StepRetrying) -> Command:
    """Work on an attempt, or wait for the next one; a run that is being cancelled does neither."""
    unit = frontier.unit(event.job_id)
    step = unit.job.steps[frontier.at_step[event.job_id]]
    if state.cancelling:
        return EndStep(unit, step, "CANCELLED", state.cancel_reason)
    if isinstance(event, e.StepRetrying):
        return WaitAndRetry(unit, step, event.attempt + 1, event.wait_seconds)
    return Work(unit, step, event.attempt)


def _after_step(state: RunState, unit: Unit, number: int | None, event: e.StepFinished) -> Iterator[Command]:
    if number is None or event.step_id != unit.job.steps[number].spec.id:
        return  # ended without having run: the rest of a skipped job
    step = unit.job.steps[number]
    match event.status:
        case "SKIPPED" if _skips_rest(step, event.reason):
            yield from _skip_rest(state.jobs[unit.id], unit, number + 1, event.reason)
        case "FAILED" if not step.spec.continue_on_error or _ends_job(state, unit, event.error):
            yield EndJob(
                unit, "FAILED", f"step {event.step_id} failed", event.error, state.jobs[unit.id].outputs
            )
        case "CANCELLED":
            yield EndJob(unit, "CANCELLED", state.cancel_reason or event.reason)
        case _:
            yield from _next_step(state, unit, number + 1)


def _ends_job(state: RunState, unit: Unit, error: ErrorInfo | None) -> bool:
    """Whether a failure ends its job in spite of `continue_on_error`: no time left, or no lock."""
    lock = f"job:{state.flow_id}/{unit.job.id}"
    return error is not None and (error.code == JOB_TIMEOUT or error.detail.get("lock_key") == lock)


def _skip_rest(job: JobState, unit: Unit, number: int, reason: str) -> Iterator[Command]:
    for step in unit.job.steps[number:]:
        known = job.steps.get(step.spec.id)
        if known is None or known.status == "PENDING":
            yield EndStep(unit, step, "SKIPPED", reason)
    yield EndJob(unit, "SKIPPED", reason or "no data", outputs=job.outputs)


def _after_job(plan: Plan, state: RunState, frontier: Frontier, event: e.JobFinished) -> Iterator[Command]:
    unit = frontier.unit(event.job_id)
    failed_fast = event.status == "FAILED" and plan.flow.fail_fast and not is_hook(event.job_id)
    if failed_fast and not state.cancelling:
        yield CancelRun(f"fail_fast: job {event.job_id} failed", "fail_fast")
    if unit.job.for_each is None:
        return
    if unit.item == WHOLE:
        yield from _never_opened(state, unit, event.status)
    elif (fan := frontier.fans.get(unit.job.index)) is not None and not fan.unfinished:
        yield _gather(state, whole(unit.job))


def _never_opened(state: RunState, unit: Unit, end: e.JobEnd) -> Iterator[EndJob]:
    """End the instances of an earlier time that wait for a `for_each` job which has ended without them.

    It did not begin again, or its list has become shorter.
    """
    items = state.jobs[unit.id].items
    number = 0
    while (known := state.jobs.get(instance_id(unit.job.id, number))) is not None:
        if known.status == "PENDING":
            is_gone = end == "SKIPPED" or (items is not None and number >= len(items))
            status: e.JobEnd = "SKIPPED" if is_gone else "CANCELLED" if end == "CANCELLED" else "BLOCKED"
            yield EndJob(instance(unit.job, number), status, f"job {unit.id} ended without it")
        number += 1


def _gather(state: RunState, unit: Unit) -> EndJob:
    """End a `for_each` job: its outputs are the lists of its instances' outputs, in item order."""
    items = state.jobs[unit.id].items or []
    instances = [state.job(instance_id(unit.job.id, number)) for number in range(len(items))]
    statuses = {instance.status for instance in instances}
    failed = [instance_id(unit.job.id, i) for i, job in enumerate(instances) if job.status == "FAILED"]
    keys = {key: None for step in unit.job.steps for key in step.spec.outputs}
    outputs = {key: [instance.outputs.get(key) for instance in instances] for key in keys}
    if failed:
        first = state.job(failed[0]).error
        reason = f"{len(failed)} of {len(items)} instances failed, the first is {failed[0]}"
        return EndJob(unit, "FAILED", reason, first, outputs)
    if statuses & {"CANCELLED", "BLOCKED"}:
        return EndJob(unit, "CANCELLED", state.cancel_reason, outputs=outputs)
    if statuses == {"SKIPPED"}:
        return EndJob(unit, "SKIPPED", "every instance was skipped", outputs=outputs)
    return EndJob(unit, "SUCCESS", outputs=outputs)


def _next_of_ending(plan: Plan, state: RunState) -> Command:
    """Say how the jobs ended; then start the ending steps that this calls for; then end the run."""
    if state.outcome is None:
        status, reason = _outcome(plan, state)
        if not _hooks_for(plan, status):
            return EndRun(status, reason)
        return BeginEnding(status, reason)
    for job in _hooks_for(plan, state.outcome):
        unit = hook(job, state.endings)
        if state.job(unit.id).status == "PENDING":
            return EndJob(unit, "CANCELLED", state.cancel_reason) if state.cancelling else StartJob(unit)
    return EndRun(state.outcome, state.outcome_reason)


def _hooks_for(plan: Plan, status: e.RunEnd) -> list[JobPlan]:
    """Return the ending steps that follow an outcome, in the order in which they run."""
    wanted = {f"{HOOK}on_exit"}
    if status != "CANCELLED":
        wanted.add(f"{HOOK}on_{'success' if status == 'SUCCESS' else 'failure'}")
    return [job for job in plan.hooks if job.id in wanted]


def _outcome(plan: Plan, state: RunState) -> tuple[e.RunEnd, str]:
    statuses = {state.job(job.id).status for job in plan.jobs}
    if state.cancelling == "timeout":
        return "FAILED", state.cancel_reason
    if "CANCELLED" in statuses and (state.cancelling == "request" or "FAILED" not in statuses):
        return "CANCELLED", state.cancel_reason or "a job that took no part is CANCELLED"
    if "FAILED" in statuses:
        return "FAILED", state.cancel_reason
    return "SUCCESS", ""
