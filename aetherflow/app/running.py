"""Run a flow: put the engine, the state database and the observers together, and take them apart again."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Literal

import anyio
import anyio.to_thread
import msgspec

from aetherflow import registry
from aetherflow.app.examine import Examination, resolve
from aetherflow.app.places import Places, places_of
from aetherflow.clock import Clock, SystemClock
from aetherflow.engine import events as e
from aetherflow.engine import guardian
from aetherflow.engine.bus import Bus, Observer
from aetherflow.engine.connector_pool import ConnectorPool
from aetherflow.engine.context import RunServices
from aetherflow.engine.executor import Executor
from aetherflow.engine.plan import Plan, upstream
from aetherflow.engine.resume import Resumption, plan_resumption
from aetherflow.engine.ring import Ring
from aetherflow.engine.state import IllegalEvent, RunState, apply, fold, is_hook
from aetherflow.engine.step_runner import run_inner
from aetherflow.engine.workspace import Workspace
from aetherflow.errors import AetherFlowError, HeldByAnother, StateError, UsageError
from aetherflow.secret import MASK, Redactor
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.locks import LockTable
from aetherflow.store.owner import Owner, this_process
from aetherflow.store.run_lease import Claim, claim_run, keep_alive, release_run

RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
LOCK_HELD = "AF620"
LIST_AT_MOST = 20
"""How many kept or repeated steps a notice names before it only counts them."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `aetherflow run` was asked for.

    Raises:
        UsageError: the run id could name a folder that is not the run's own.
    """

    run_id: str = ""
    flow_job: str = ""
    params: dict[str, Any] = {}
    rerun: tuple[str, ...] = ()
    show_traces: bool = False

    def __post_init__(self) -> None:
        if self.run_id and (not RUN_ID.fullmatch(self.run_id) or not self.run_id.strip(".")):
            hint = "letters, digits, '.', '_' and '-', at most 128 characters"
            raise UsageError(f"{self.run_id!r} is not a run id", hint=hint)


class Watcher(msgspec.Struct, frozen=True):
    """An observer to subscribe, its name, and what happens when it is too slow."""

    name: str
    observer: Observer
    when_full: Literal["wait", "drop"] = "drop"


class RunReport(msgspec.Struct, frozen=True):
    """How a run ended.

    Attributes:
        detached: observers that did not watch to the end, by name, and why.
    """

    run_id: str
    status: Literal["SUCCESS", "FAILED", "CANCELLED"]
    exit_code: int
    detached: dict[str, str] = {}


async def run_flow(
    examined: Examination,
    request: RunRequest,
    watchers: Sequence[Watcher],
    *,
    clock: Clock | None = None,
    on_signal: Callable[[], None] | None = None,
) -> RunReport:
    """Run a flow, or go on with a run of it, to its end.

    Raises:
        UsageError: the request does not fit the flow, or the run id belongs to another flow.
        HeldByAnother: another process executes the run.
        StateError: the state database cannot be used.
    """
    clock = clock or SystemClock()
    plan = examined.plan
    places = places_of(examined, request.params)
    selected = _selected(plan, request.flow_job)
    run_id = request.run_id or clock.new_id()
    owner = this_process()
    async with AsyncExitStack() as stack:
        database = await Database.open(places.state, plan.flow.state.synchronous)
        stack.push_async_callback(database.aclose)
        claim = await claim_run(database, run_id, owner, clock)
        stack.push_async_callback(_shielded, partial(release_run, database, claim.lease, clock))
        beginning, state, notices = _begin(examined, request, claim, run_id, owner, clock, places)
        places = _places_of_run(examined, places, state)
        bus = Bus(Journal(database).of_run(claim.lease, claim.next_seq), clock)
        async with (
            _observed(bus, watchers),
            _services(examined, places, state, database, owner, clock, bus) as services,
        ):
            ring = Ring(
                plan,
                state,
                env=services.env,
                clock=clock,
                limit=places.max_parallel_jobs,
                selected=selected,
                redact=services.redactor.value,
            )
            executor = Executor(ring, bus, services, registry.step_type, show_traces=request.show_traces)
            signals = await _execute(
                executor, beginning, notices, partial(_beat, executor, database, claim, clock), on_signal
            )
            await _clean_up(plan, state, services)
    return _report(state, signals, bus)


@asynccontextmanager
async def _observed(bus: Bus, watchers: Sequence[Watcher]) -> AsyncIterator[None]:
    """Let the observers watch during the block, and finish after it."""
    failure: AetherFlowError | None = None
    async with anyio.create_task_group() as observing:
        for watcher in watchers:
            bus.subscribe(observing, watcher.name, watcher.observer, when_full=watcher.when_full)
        try:
            yield
        except AetherFlowError as error:
            failure = error
        finally:
            await bus.aclose()
    if failure is not None:
        raise failure


async def _execute(
    executor: Executor,
    beginning: e.Event,
    notices: Sequence[e.Notice],
    beat: Callable[[anyio.CancelScope], Coroutine[Any, Any, None]],
    on_signal: Callable[[], None] | None,
) -> list[int]:
    """Execute the run with its heartbeat and an ear for signals; return the signals heard."""
    signals: list[int] = []
    failure: AetherFlowError | None = None
    beating = anyio.CancelScope(shield=True)
    async with anyio.create_task_group() as helping:
        helping.start_soon(beat, beating)
        helping.start_soon(_heed_signals, executor, beginning.run_id, signals, on_signal)
        try:
            await executor.run(beginning, notices)
        except AetherFlowError as error:
            failure = error
        finally:
            beating.cancel()
        helping.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return signals


async def _beat(
    executor: Executor, database: Database, claim: Claim, clock: Clock, scope: anyio.CancelScope
) -> None:
    """Keep the run ours until `scope` is cancelled: also while a cancelled run comes to its end."""
    with scope:
        try:
            executor.fail(await keep_alive(database, claim.lease, clock))
        except AetherFlowError as error:
            executor.fail(error)


async def _heed_signals(
    executor: Executor, run_id: str, heard: list[int], on_signal: Callable[[], None] | None
) -> None:
    """Cancel the run at the first SIGINT or SIGTERM; at the second, kill what still resists."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        if on_signal is not None:
            on_signal()
        async for number in received:
            heard.append(number)
            if len(heard) == 1:
                executor.cancel(signal.Signals(number).name)
            else:
                await guardian.end_leftovers(run_id, grace_seconds=0)


@asynccontextmanager
async def _services(
    examined: Examination,
    places: Places,
    state: RunState,
    database: Database,
    owner: Owner,
    clock: Clock,
    bus: Bus,
) -> AsyncIterator[RunServices]:
    """Make what the steps share; close it at the end, and end what they left running."""
    redactor = examined.redactor
    pool = ConnectorPool(partial(resolve, examined), registry.connector_class)
    inner = partial(run_inner, step_types=registry.step_type)

    def announce(event: e.Event) -> None:
        match event:
            case e.Notice():
                event = msgspec.structs.replace(event, message=redactor.text(event.message))
            case e.StepOutput():
                event = msgspec.structs.replace(event, text=redactor.text(event.text))
            case _:
                pass
        bus.announce(event)

    services = RunServices(
        flow_id=state.flow_id,
        run_id=state.run_id,
        env=examined.environment.variables,
        clock=clock,
        redactor=redactor,
        workspace=Workspace(places.work_root, state.flow_id, state.run_id, places.layout),
        log_directory=places.logs,
        connectors=pool,
        locks=LockTable(database, clock, owner, state.flow_id, state.run_id),
        inner_step=inner,
        announce=announce,
        threads=anyio.CapacityLimiter(places.max_parallel_jobs + 4),
    )
    try:
        yield services
    finally:
        with anyio.CancelScope(shield=True):
            try:
                for pid in await guardian.end_leftovers(state.run_id):
                    message = f"process {pid} of the run could not be ended"
                    announce(_notice(state, clock, "warning", message, "AF708"))
            finally:
                for problem in await pool.aclose():
                    announce(_notice(state, clock, "warning", problem.message, problem.code))


def _begin(
    examined: Examination,
    request: RunRequest,
    claim: Claim,
    run_id: str,
    owner: Owner,
    clock: Clock,
    places: Places,
) -> tuple[e.Event, RunState, list[e.Notice]]:
    """Return the event that begins or resumes the run, the state after it, and what a person should know."""
    plan, now = examined.plan, clock.now()
    examined.redactor.add_named(places.params)
    state = _history(claim, run_id)
    if not claim.history:
        started = e.RunStarted(
            at=now,
            flow_id=plan.flow_id,
            run_id=run_id,
            flow_file=plan.file,
            owner=str(owner),
            params=examined.redactor.value(places.params),
            selected_job=request.flow_job,
            definition=plan.definition,
        )
        apply(state, started)
        state.params = places.params  # the journal has them masked, the steps need them as they are
        return started, state, []
    if state.flow_id != plan.flow_id:
        raise UsageError(
            f"run {run_id} is a run of the flow {state.flow_id!r}, not of {plan.flow_id!r}",
            hint="give another --run-id, or the flow it belongs to",
        )
    resumption = plan_resumption(plan, state, request.rerun)
    resumed = e.RunResumed(
        at=now,
        flow_id=plan.flow_id,
        run_id=run_id,
        attempt=state.attempt + 1,
        owner=str(owner),
        flow_file=plan.file,
        selected_job=request.flow_job,
        definition=plan.definition,
        rerun=resumption.rerun,
        endings=state.endings,
    )
    apply(state, resumed)
    notices = _resume_notices(resumption, state, clock)
    notices += _take_up_params(state, places.params, request.params, examined.redactor, clock)
    return resumed, state, notices


def _history(claim: Claim, run_id: str) -> RunState:
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
            code="AF605",
        ) from None


def _take_up_params(
    state: RunState, params: dict[str, Any], given: Mapping[str, Any], redactor: Redactor, clock: Clock
) -> list[e.Notice]:
    """Go on with the parameters that the run began with; secret ones are not stored and are given again.

    Raises:
        UsageError: a secret parameter is missing.
    """
    masked: dict[str, Any] = redactor.value(params)
    notices: list[e.Notice] = []
    for name, stored in state.params.items():
        if name not in params:
            continue  # the flow has it no more
        if masked[name] == stored:
            state.params = {**state.params, name: params[name]}
        elif MASK in msgspec.json.encode(stored).decode():
            raise UsageError(
                f"the parameter {name!r} of run {state.run_id} is secret, hence not stored",
                hint=f"give it again: --param {name}=VALUE",
                code="AF561",
            )
        elif name in given:
            message = f"the parameter {name} stays what the run began with; a new value takes a new run"
            notices.append(_notice(state, clock, "warning", message, "AF631"))
    state.params = {**params, **state.params}
    return notices


def _places_of_run(examined: Examination, places: Places, state: RunState) -> Places:
    """Return the places as the run's own parameters name them; its database is found already."""
    if state.params == places.params:
        return places
    known = {name: value for name, value in state.params.items() if name in places.params}
    return msgspec.structs.replace(places_of(examined, known), state=places.state, logs=places.logs)


def _resume_notices(resumption: Resumption, state: RunState, clock: Clock) -> list[e.Notice]:
    notices = []
    if resumption.kept:
        notices.append(_notice(state, clock, "info", f"kept: {_listed(resumption.kept)}"))
    again = _listed(resumption.again) if resumption.again else "nothing that had begun"
    notices.append(_notice(state, clock, "info", f"runs again: {again}"))
    for name in resumption.changed[:LIST_AT_MOST]:
        message = f"{name} is kept although the flow now defines it otherwise; --rerun {name} runs it again"
        notices.append(_notice(state, clock, "warning", message, "AF630"))
    return notices


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LIST_AT_MOST])
    more = len(names) - LIST_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown


def _notice(
    state: RunState, clock: Clock, level: Literal["info", "warning"], message: str, code: str = ""
) -> e.Notice:
    return e.Notice(
        at=clock.now(), flow_id=state.flow_id, run_id=state.run_id, level=level, message=message, code=code
    )


def _selected(plan: Plan, job_id: str) -> set[int] | None:
    """Return the jobs that `--flow-job` selects: the job and all that it waits for."""
    if not job_id:
        return None
    if job_id not in {job.id for job in plan.jobs}:
        names = ", ".join(job.id for job in plan.jobs[:LIST_AT_MOST])
        raise UsageError(f"--flow-job {job_id}: the flow has no such job", hint=f"its jobs are {names}")
    return upstream(plan, [job_id])


async def _clean_up(plan: Plan, state: RunState, services: RunServices) -> None:
    """Remove the files of the run, as its cleanup policy says."""
    policy = plan.flow.workspace.cleanup_policy
    if policy == "always" or (policy == "on_success" and state.phase == "SUCCESS"):
        for problem in await anyio.to_thread.run_sync(services.workspace.remove, list(state.jobs)):
            services.announce(_notice(state, services.clock, "warning", problem, "AF721"))


def _report(state: RunState, signals: Sequence[int], bus: Bus) -> RunReport:
    codes = {
        job.error.code
        for job_id, job in state.jobs.items()
        if job.status == "FAILED" and job.error is not None and not is_hook(job_id)
    }
    match state.phase:
        case "SUCCESS":
            return RunReport(state.run_id, "SUCCESS", 0, bus.detached)
        case "CANCELLED":
            code = 128 + (signals[0] if signals else signal.SIGINT)
            return RunReport(state.run_id, "CANCELLED", code, bus.detached)
        case _:
            only_locked = codes == {LOCK_HELD}
            code = HeldByAnother.exit_code if only_locked else 1
            return RunReport(state.run_id, "FAILED", code, bus.detached)


async def _shielded(call: Callable[[], Any]) -> None:
    with anyio.CancelScope(shield=True):
        await call()
