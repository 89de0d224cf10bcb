"""Run a flow: put the engine, the state database and the observers together, and take them apart again."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
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
from aetherflow.engine.state import RunState, apply, fold
from aetherflow.engine.step_runner import run_inner
from aetherflow.engine.workspace import Workspace
from aetherflow.errors import AetherFlowError, HeldByAnother, UsageError
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal
from aetherflow.store.locks import LockTable
from aetherflow.store.owner import Owner, this_process
from aetherflow.store.run_lease import Claim, claim_run, keep_alive, release_run

LOCK_HELD = "AF620"
LIST_AT_MOST = 20
"""How many kept or repeated steps a notice names before it only counts them."""


class RunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `aetherflow run` was asked for."""

    run_id: str = ""
    flow_job: str = ""
    params: dict[str, Any] = {}
    rerun: tuple[str, ...] = ()
    show_traces: bool = False


class Watcher(msgspec.Struct, frozen=True):
    """An observer to subscribe, its name, and what happens when it is too slow."""

    name: str
    observer: Observer
    when_full: Literal["wait", "drop"] = "drop"


class RunReport(msgspec.Struct, frozen=True):
    """How a run ended."""

    run_id: str
    status: Literal["SUCCESS", "FAILED", "CANCELLED"]
    exit_code: int


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
    return _report(state, signals)


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
        observing.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _execute(
    executor: Executor,
    beginning: e.Event,
    notices: Sequence[e.Notice],
    beat: Callable[[], Coroutine[Any, Any, None]],
    on_signal: Callable[[], None] | None,
) -> list[int]:
    """Execute the run with its heartbeat and an ear for signals; return the signals heard."""
    signals: list[int] = []
    failure: AetherFlowError | None = None
    async with anyio.create_task_group() as helping:
        helping.start_soon(beat)
        helping.start_soon(_heed_signals, executor, beginning.run_id, signals, on_signal)
        try:
            await executor.run(beginning, notices)
        except AetherFlowError as error:
            failure = error
        helping.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return signals


async def _beat(executor: Executor, database: Database, claim: Claim, clock: Clock) -> None:
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
            for pid in await guardian.end_leftovers(state.run_id):
                announce(
                    _notice(state, clock, "warning", f"process {pid} of the run could not be ended", "AF708")
                )
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
    state = fold(claim.history)
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
    )
    apply(state, resumed)
    return resumed, state, _resume_notices(resumption, state, clock)


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


def _report(state: RunState, signals: Sequence[int]) -> RunReport:
    codes = {
        job.error.code for job in state.jobs.values() if job.status == "FAILED" and job.error is not None
    }
    match state.phase:
        case "SUCCESS":
            return RunReport(state.run_id, "SUCCESS", 0)
        case "CANCELLED":
            return RunReport(state.run_id, "CANCELLED", 128 + (signals[0] if signals else signal.SIGINT))
        case _:
            only_locked = codes == {LOCK_HELD}
            return RunReport(state.run_id, "FAILED", HeldByAnother.exit_code if only_locked else 1)


async def _shielded(call: Callable[[], Any]) -> None:
    with anyio.CancelScope(shield=True):
        await call()
