"""Start or resume a claimed run: build its first event, its parameters, and the notices for a person."""

from __future__ import annotations

import shlex
from collections.abc import Collection

import msgspec

from aetherflow.clock import Clock
from aetherflow.config.params import require_params
from aetherflow.engine.resume import plan_resume
from aetherflow.engine.state import RunState, apply, closed_endings
from aetherflow.engine.template_scope import date_of_run
from aetherflow.errors import RunEnded, UsageError
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.trace_ids import checked_traceparent, checked_tracestate
from aetherflow.language.dates import day_in, utc_text
from aetherflow.plan.planned import planned_jobs
from aetherflow.runs.adoption import adoption_sentence, refuse_begun_before
from aetherflow.runs.named_inputs import register_named_inputs
from aetherflow.runs.resolved_run import ResolvedRun
from aetherflow.runs.start_notices import bundle_notices, plugin_notices, resume_notices
from aetherflow.runs.stored_params import params_of_resumed, secrets_to_give
from aetherflow.runs.stored_run import StoredRun
from aetherflow.store.process_identity import ProcessIdentity
from aetherflow.working_directory import working_directory_name


class RunStart(msgspec.Struct, frozen=True):
    """How a run starts or is resumed.

    Attributes:
        event: the first event of this execution.
        state: of the run after that event, with its parameters as steps see them.
        secrets: the names of the parameters that a later resume must be given again.
        notices: what a person should know.
    """

    event: e.RunStarted | e.RunResumed
    state: RunState
    secrets: list[str]
    notices: list[e.Notice]


def start_run(
    run: ResolvedRun,
    stored: StoredRun,
    owner: ProcessIdentity,
    clock: Clock,
    found: Collection[tuple[str, str]] = (),
) -> RunStart:
    """Start a run, or resume it if it has a history.

    `found` are the steps, by job and id, whose last attempts workers still have.

    Raises:
        UsageError: the request does not fit the flow, or the run belongs to another flow.
        RunEnded: a run to recover has ended meanwhile.
    """
    if stored.is_new:
        return _start(run, stored.state, owner, clock)
    if run.request.is_recovery:
        refuse_ended(run, stored)
    return _resume(run, stored, owner, clock, found)


def refuse_ended(run: ResolvedRun, stored: StoredRun) -> None:
    """Refuse to recover a run that has ended since the dead server claimed it.

    Raises:
        RunEnded: it has.
    """
    state, claimed_at, ended_at = stored.state, run.request.claimed_at, stored.ended_at
    if claimed_at is not None and ended_at is not None and ended_at < claimed_at:
        return
    if state.phase != "RUNNING":
        raise RunEnded(
            f"run {run.run_id} was left INTERRUPTED, but has ended {state.phase} meanwhile", state=run.state
        )


def _start(run: ResolvedRun, state: RunState, owner: ProcessIdentity, clock: Clock) -> RunStart:
    checked, request, plan = run.checked, run.request, run.checked.plan
    if request.rerun_names or request.only:
        raise UsageError(
            f"run {run.run_id} has not run yet: there is nothing to run again",
            hint=f"look at the run id: aetherflow runs list --flow-yaml {shlex.quote(plan.file)}",
        )
    if request.run_id:
        refuse_begun_before(run.run_id, run.state)
    zone = plan.flow.timezone or request.timezone
    params = run.params_on(day_in(request.scheduled_at or clock.now(), zone))
    require_params(plan.flow.params, params)
    checked.redactor.add_named(params)
    env = checked.environment.variables
    register_named_inputs(plan, state, params, env, checked.redactor)
    secrets = secrets_to_give(plan.flow.params, params, checked.redactor)
    at = request.scheduled_at
    traceparent = checked_traceparent(request.traceparent)
    events = EventFactory(clock, plan.flow_id, run.run_id)
    started = events.make(
        e.RunStarted,
        flow_file=plan.file,
        owner=str(owner),
        params=checked.redactor.value(params),
        secrets=secrets,
        selected_job=request.flow_job,
        definition=plan.definition,
        directory=working_directory_name(),
        origin=request.origin,
        scheduled_at=utc_text(at) if at else "",
        timezone=zone,
        bundle=checked.bundle,
        plan=planned_jobs(plan, run.selected),
        traceparent=traceparent,
        tracestate=checked.redactor.text(checked_tracestate(request.tracestate)) if traceparent else "",
        executor=checked.named_executor,
    )
    apply(state, started)
    state.params = params  # the journal has them masked, the steps need them as they are
    notices = bundle_notices(checked.bundle, checked.bundle, events) + plugin_notices(checked, events)
    if run.adopts:
        notices.append(events.notice("info", adoption_sentence(run.adopts, run.state), "AF185"))
    return RunStart(started, state, secrets, notices)


def _resume(
    run: ResolvedRun,
    stored: StoredRun,
    owner: ProcessIdentity,
    clock: Clock,
    found: Collection[tuple[str, str]],
) -> RunStart:
    state, checked, request, plan = stored.state, run.checked, run.request, run.checked.plan
    if state.flow_id != plan.flow_id:
        raise UsageError(
            f"run {run.run_id} is a run of the flow {state.flow_id!r}, not of {plan.flow_id!r}",
            hint="give another --run-id, or the flow it belongs to",
        )
    env = checked.environment.variables
    # What was masked when the run started is compared with what is given now: both as secrets.
    read = run.params_on(date_of_run(state) or run.day)
    register_named_inputs(plan, state, read, env, checked.redactor)
    given = {name for name, value in request.params.items() if value is not None}
    params, ignored = params_of_resumed(plan.flow.params, state, read, given, checked.redactor)
    register_named_inputs(plan, state, params, env, checked.redactor)
    resume = plan_resume(
        plan,
        state,
        request.rerun_names,
        only=request.only,
        selected=run.selected,
        option=request.rerun_option,
        found=found,
    )
    # A run of which nothing was executed did not kill its server, nor one that its server left in order, nor
    # a step that ran elsewhere.
    was_in_a_step = state.cancelling != "stop" and any(
        step.status == "RUNNING" and not step.executor
        for job in state.jobs.values()
        for step in job.steps.values()
    )
    events = EventFactory(clock, plan.flow_id, run.run_id)
    resumed = events.make(
        e.RunResumed,
        attempt=state.attempt + 1,
        owner=str(owner),
        flow_file=plan.file,
        selected_job=request.flow_job,
        definition=plan.definition,
        **resume.event_fields(),
        ending_count=closed_endings(state, [*resume.rerun, *resume.reopened]),
        directory=working_directory_name(),
        only=request.only,
        decisions=resume.stored_decisions(),
        decision_counts=resume.decision_counts(),
        origin=request.origin,
        recoveries=state.recoveries + was_in_a_step if request.is_recovery else 0,
        bundle=checked.bundle,
        plan=planned_jobs(plan, run.selected),
        traceparent=state.traceparent,
        resumed_in=checked_traceparent(request.traceparent),
        executor=checked.named_executor,
    )
    apply(state, resumed)
    state.params = params
    notices = resume_notices(resume, request.rerun_option, events)
    for name in ignored:
        message = (
            f"the parameter {name} keeps the value that the run started with; for another, start a new run"
        )
        notices.append(events.notice("warning", message, "AF631"))
    notices += bundle_notices(checked.bundle, stored.bundle, events) + plugin_notices(checked, events)
    return RunStart(resumed, state, secrets_to_give(plan.flow.params, params, checked.redactor), notices)
