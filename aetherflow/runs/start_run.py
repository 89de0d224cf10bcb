"""How a run begins, or goes on: the event that says so, its parameters, what a person should know."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from aetherflow.clock import Clock
from aetherflow.config.params import convert, read_params
from aetherflow.engine.resume import ResumeDecision, ResumeKind, ResumePlan, plan_resume
from aetherflow.engine.state import RunState, apply, closed_endings, fold
from aetherflow.engine.transitions import IllegalEvent
from aetherflow.errors import HeldByAnother, StateError, UsageError
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.redaction import MASK, Redactor
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_request import RunRequest, selected
from aetherflow.spec.flow import ParamSpec
from aetherflow.store.process_identity import ProcessIdentity
from aetherflow.store.run_lease import RunClaim

LIST_AT_MOST = 20
"""How many kept or repeated steps a notice names before it only counts them."""


class Beginning(msgspec.Struct, frozen=True):
    """The event that begins or resumes a run, the state after it, and what a person should know."""

    event: e.RunStarted | e.RunResumed
    state: RunState
    notices: list[e.Notice]


def begin(
    checked: CheckedFlow,
    request: RunRequest,
    claim: RunClaim,
    run_id: str,
    owner: ProcessIdentity,
    clock: Clock,
) -> Beginning:
    """Begin a run, or go on with it if there is a history.

    Raises:
        UsageError: the request does not fit the flow, or the run belongs to another flow.
        StateError: the stored history contradicts itself.
        HeldByAnother: a run to recover needs no recovery any more.
    """
    beginning = _begin(checked, request, claim, run_id, owner, clock)
    beginning.notices.extend(_plugin_notices(checked, beginning.state, clock))
    return beginning


def _begin(
    checked: CheckedFlow,
    request: RunRequest,
    claim: RunClaim,
    run_id: str,
    owner: ProcessIdentity,
    clock: Clock,
) -> Beginning:
    state = history_of(claim, run_id)
    if request.is_recovery and claim.history and state.phase != "RUNNING":
        raise HeldByAnother(
            f"run {run_id} was left INTERRUPTED, but has ended {state.phase} meanwhile", code="AF655"
        )
    if claim.history:
        beginning = _resume(checked, request, state, owner, clock)
        beginning.notices.extend(_bundle_notices(checked.bundle, claim.history, state, clock))
        return beginning
    if request.rerun_names or request.only:
        raise UsageError(
            f"run {run_id} has not run yet: there is nothing to run again",
            hint=f"look at the run id: aetherflow runs list --flow-yaml {shlex.quote(checked.plan.file)}",
        )
    plan = checked.plan
    params = read_params(plan.flow.params, request.params)
    checked.redactor.add_named(params)
    started = EventFactory(clock, plan.flow_id, run_id).make(
        e.RunStarted,
        flow_file=plan.file,
        owner=str(owner),
        params=checked.redactor.value(params),
        secrets=secrets_to_give(plan.flow.params, params, checked.redactor),
        selected_job=request.flow_job,
        definition=plan.definition,
        directory=str(Path.cwd()),
        origin=request.origin,
        scheduled_at=request.scheduled_at,
        bundle=checked.bundle,
    )
    apply(state, started)
    state.params = params  # the journal has them masked, the steps need them as they are
    return Beginning(started, state, _bundle_notices(checked.bundle, (), state, clock))


def _resume(
    checked: CheckedFlow, request: RunRequest, state: RunState, owner: ProcessIdentity, clock: Clock
) -> Beginning:
    plan, run_id = checked.plan, state.run_id
    if state.flow_id != plan.flow_id:
        raise UsageError(
            f"run {run_id} is a run of the flow {state.flow_id!r}, not of {plan.flow_id!r}",
            hint="give another --run-id, or the flow it belongs to",
        )
    params, kept = params_of_resumed(plan.flow.params, state, request.params, checked.redactor)
    resumption = plan_resume(
        plan,
        state,
        request.rerun_names,
        only=request.only,
        selected=selected(plan, request),
        option=request.rerun_option,
    )
    # A run of which nothing was executed did not kill its server.
    was_in_a_step = any(
        step.status == "RUNNING" for job in state.jobs.values() for step in job.steps.values()
    )
    resumed = EventFactory(clock, plan.flow_id, run_id).make(
        e.RunResumed,
        attempt=state.attempt + 1,
        owner=str(owner),
        flow_file=plan.file,
        selected_job=request.flow_job,
        definition=plan.definition,
        **resumption.effect(),
        ending_count=closed_endings(state, [*resumption.rerun, *resumption.reopened]),
        directory=str(Path.cwd()),
        only=request.only,
        decisions=resumption.stored_decisions(),
        decision_counts=resumption.decision_counts(),
        origin=request.origin,
        recoveries=state.recoveries + was_in_a_step if request.is_recovery else 0,
        bundle=checked.bundle,
    )
    apply(state, resumed)
    state.params = params
    notices = _resume_notices(resumption, request.rerun_option, state, clock)
    for name in kept:
        message = f"the parameter {name} stays what the run began with; a new value takes a new run"
        notices.append(notice(state, clock, "warning", message, "AF631"))
    return Beginning(resumed, state, notices)


def history_of(claim: RunClaim, run_id: str) -> RunState:
    """Return the state that the stored events lead to.

    Raises:
        StateError: they contradict each other.
    """
    try:
        return fold(claim.history)
    except IllegalEvent as error:
        raise StateError(
            f"the stored history of run {run_id} makes no sense: {error}",
            hint="restore the database from a backup, or give another --run-id",
            code="AF609",
        ) from None


def params_of_resumed(
    specs: Mapping[str, ParamSpec], state: RunState, given: Mapping[str, Any], redactor: Redactor
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a run that goes on, and which were given anew without effect.

    A run goes on with what it began with. Secret values are not stored and are given again; so is what the
    flow has come to require since.

    Raises:
        UsageError: a parameter is not known, unfit, secret and not given, or required and not known.
    """
    lenient = {name: msgspec.structs.replace(spec, required=False) for name, spec in specs.items()}
    params = read_params(lenient, given)
    redactor.add_named(params)
    masked: dict[str, Any] = redactor.value(params)
    kept: list[str] = []
    for name, stored in state.params.items():
        is_wanting = name in state.secrets and given.get(name) is None  # masked, a default looks the same
        if name not in params or (masked[name] == stored and not is_wanting):
            continue  # the flow has it no more, or it is what it was
        if stored is None and specs[name].required:
            continue  # it was left out when it still could be
        if is_masked(stored):
            raise UsageError(
                f"the parameter {name!r} of run {state.run_id} is secret, hence not stored",
                hint=f"give it again: --param {name}=VALUE",
                code="AF561",
            )
        if given.get(name) is not None:
            kept.append(name)
        params[name] = _as_declared(name, specs[name], stored, state.run_id)
    if missing := [name for name, spec in specs.items() if spec.required and params[name] is None]:
        needed = {name: specs[name] for name in missing}
        read_params(needed, {})  # says what is missing
    return params, kept


def is_masked(stored: Any) -> bool:
    """Whether a stored value, or a part of it, is a mask in the place of a secret."""
    match stored:
        case str():
            return MASK in stored
        case dict():
            return any(map(is_masked, stored.values()))
        case list():
            return any(map(is_masked, stored))
        case _:
            return False


def secrets_to_give(
    specs: Mapping[str, ParamSpec], params: Mapping[str, Any], redactor: Redactor
) -> list[str]:
    """Return the parameters to give again to a resume: they are secret, and not what the flow says."""
    optional = {name: msgspec.structs.replace(spec, required=False) for name, spec in specs.items()}
    usual = read_params(optional, {})
    return [name for name in specs if is_masked(redactor.value(params)[name]) and params[name] != usual[name]]


def _as_declared(name: str, spec: ParamSpec, stored: Any, run_id: str) -> Any:
    """Return what a run began with as the type that the parameter has now; its `enum` may be another one.

    Raises:
        UsageError: it cannot be read as that.
    """
    if stored is None or spec.type == "json":  # any value is JSON, and a text is not read a second time
        return stored
    try:
        return convert(msgspec.structs.replace(spec, enum=[]), stored)
    except ValueError as error:
        raise UsageError(
            f"the parameter {name!r} of run {run_id} is {stored!r} since it began, and must now be {error}",
            hint="give the parameter its type back, or begin a new run",
            code="AF560",
        ) from None


_WARNINGS: tuple[tuple[ResumeKind, str, str], ...] = (
    ("end_interrupted", "AF633", "does not run again: {}"),
    ("exclude", "AF634", "not run now: {}"),
    ("changed", "AF630", ""),
    ("never_run", "AF635", "has not run, its job had ended without it: {}; {option} {first} runs it"),
    ("remove", "AF636", "the flow does not have it any more: {}"),
    ("upgraded", "AF632", "kept although the step type has another version now: {}"),
)
"""What a person is warned of, by the kind of the decision."""


def _resume_notices(resumption: ResumePlan, option: str, state: RunState, clock: Clock) -> list[e.Notice]:
    notices = []
    if kept := resumption.texts("keep"):
        notices.append(notice(state, clock, "info", f"kept: {_listed(kept)}"))
    again = resumption.texts("rerun")
    listed = _listed(again) if again else "nothing that had begun"
    notices.append(notice(state, clock, "info", f"runs again: {listed}"))
    for kind, code, text in _WARNINGS:
        found = resumption.of_kind(kind)
        if kind == "changed":
            messages = [_changed(decision, option) for decision in found[:LIST_AT_MOST]]
        elif found:
            listed = _listed([str(decision) for decision in found])
            messages = [text.format(listed, option=option, first=found[0].name)]
        else:
            continue
        notices += [notice(state, clock, "warning", message, code) for message in messages]
    return notices


def _changed(decision: ResumeDecision, option: str) -> str:
    """Return the warning about something that is kept although the flow now defines it otherwise."""
    name = decision.name
    if decision.step:
        return f"{name} is kept although the flow now defines it otherwise; {option} {name} runs it again"
    return (
        f"the {decision.reason} of {name} is another one now, its earlier result is kept; "
        f"{option} {name} evaluates it again"
    )


def _plugin_notices(checked: CheckedFlow, state: RunState, clock: Clock) -> list[e.Notice]:
    """Say which plugins the run goes on without."""
    return [
        notice(state, clock, "warning", f"{d.file}:{d.line}: {d.message}", d.code)
        for d in checked.registry.diagnostics
    ]


def _bundle_notices(
    bundle: e.BundleUse | None, history: Sequence[e.Event], state: RunState, clock: Clock
) -> list[e.Notice]:
    """Say that the bundle may be stale, or is another one, or in another state, than the last time."""
    notices = []
    if bundle and bundle.stale:
        message = stale_sentence(bundle.id, bundle.fingerprint, bundle.stale)
        notices.append(notice(state, clock, "warning", message, "AF866"))
    begun = [event.bundle for event in history if isinstance(event, e.RunStarted | e.RunResumed)]
    was, now = _bundle_name(begun[-1] if begun else bundle), _bundle_name(bundle)
    if was != now:
        message = f"the run had its flow from {was}, and goes on with {now}"
        notices.append(notice(state, clock, "warning", message, "AF867"))
    return notices


def stale_sentence(bundle_id: str, fingerprint: str, reason: str) -> str:
    """Return what is said when a bundle that could not be synced is used all the same."""
    return f"the bundle {bundle_id!r} may be stale, {fingerprint[:12]} is used: {reason}"


def _bundle_name(bundle: e.BundleUse | None) -> str:
    return f"the bundle {bundle.id} {bundle.fingerprint[:12]}" if bundle else "no bundle"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LIST_AT_MOST])
    more = len(names) - LIST_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown


def notice(
    state: RunState, clock: Clock, level: Literal["info", "warning"], message: str, code: str = ""
) -> e.Notice:
    """Return something worth telling about a run."""
    factory = EventFactory(clock, state.flow_id, state.run_id)
    return factory.make(e.Notice, level=level, message=message, code=code)
