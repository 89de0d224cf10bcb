"""Run a flow: put the engine, the state database and the observers together, and take them apart again."""

from __future__ import annotations

import itertools
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import msgspec
from msgspec.structs import replace

from aetherflow.clock import Clock, SystemClock
from aetherflow.engine.machine import RunMachine
from aetherflow.engine.state import ENDED_BADLY, RunState
from aetherflow.errors import AetherFlowError, HeldByAnother
from aetherflow.events import run_events as e
from aetherflow.execution.bus import Bus
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.execution.executor import Executor
from aetherflow.execution.local_placement import call_nested
from aetherflow.execution.output_files import OutputFiles
from aetherflow.execution.shared_connectors import SharedConnectors
from aetherflow.plan.hooks import is_hook
from aetherflow.plan.plan import Plan
from aetherflow.ports import Observer
from aetherflow.process import guardian
from aetherflow.runs.load_flow import CheckedFlow, resolve
from aetherflow.runs.resume_hint import add_resume_hint
from aetherflow.runs.run_paths import (
    RunPaths,
    logs_beside,
    resolve_run_paths,
    run_paths_of,
    state_of_known_run,
)
from aetherflow.runs.run_request import RunRequest, selected
from aetherflow.runs.run_ticket import RunControl, RunReport
from aetherflow.runs.start_run import begin, notice, secrets_to_give
from aetherflow.sdk.context import RunServices
from aetherflow.sdk.workspace import Workspace
from aetherflow.store.database import SHIELD_SECONDS, Database
from aetherflow.store.database_pool import DatabasePool, SharedDatabase
from aetherflow.store.filesystem import is_missing
from aetherflow.store.lease import Lease
from aetherflow.store.named_locks import LockTable
from aetherflow.store.process_identity import ProcessIdentity, this_process
from aetherflow.store.run_lease import RunClaim, claim_flow, claim_run, keep_alive, release_run
from aetherflow.store.run_pools import RunPools
from aetherflow.task_errors import one_error

LOCK_HELD = "AF620"

HURRY_SECONDS = 5.0
"""How long a run that was asked to stop waits for a database that another process has locked."""

__all__ = ["ClaimPrecondition", "ObserverSpec", "RunReport", "RunRequest", "execute_run", "run_flow"]


class ObserverSpec(msgspec.Struct, frozen=True):
    """How to make the observer of one run, its name, and what happens when it is too slow.

    Observers of many runs share what they write to (a `Sink`), never what they remember of a run.
    """

    name: str
    make: Callable[[], Observer]
    when_full: Literal["wait", "drop"] = "drop"


class ClaimPrecondition(msgspec.Struct, frozen=True, eq=False):
    """What must hold or a run is not begun: `check` raises then, in a transaction on `database`.

    That is the one that claims the run, if that is in the same database, else one right after it.
    """

    database: Database
    check: Callable[[sqlite3.Connection], None]


async def run_flow(
    checked: CheckedFlow,
    request: RunRequest,
    observers: Sequence[ObserverSpec],
    *,
    clock: Clock | None = None,
    on_signal: Callable[[], None] | None = None,
) -> RunReport:
    """Run a flow, or go on with a run of it, to its end, alone in its process: signals are for it.

    Raises:
        UsageError: the request does not fit the flow, or the run id belongs to another flow.
        HeldByAnother: another process executes the run, or another run of a flow that runs one at a time.
        StateError: the state database cannot be used.
    """
    control, states = RunControl(), DatabasePool()
    signals: list[int] = []
    begun = partial(_follow_signals, control, states, signals, on_signal)
    report = await execute_run(
        checked, request, observers, states=states, control=control, clock=clock, helper=begun
    )
    if report.status == "CANCELLED" and signals:
        return replace(report, exit_code=128 + signals[0])
    return report


async def execute_run(
    checked: CheckedFlow,
    request: RunRequest,
    observers: Sequence[ObserverSpec],
    *,
    states: DatabasePool,
    control: RunControl,
    clock: Clock | None = None,
    helper: Callable[[], Coroutine[Any, Any, None]] = anyio.sleep_forever,
    guard: ClaimPrecondition | None = None,
) -> RunReport:
    """Run a flow, or go on with a run of it, to its end, beside others that have their own.

    `helper` runs beside the run from its beginning to its end and is cancelled then.

    Raises:
        UsageError: the request does not fit the flow, or the run id belongs to another flow.
        HeldByAnother: another process executes the run, or another run of a flow that runs one at a time.
        StateError: the state database cannot be used.
        ConfigError: the metrics module cannot be used.
    """
    clock = clock or SystemClock()
    plan = checked.plan
    state_path = _state_path(checked, request)
    taking_part = selected(plan, request)
    run_id = request.run_id or clock.new_id()
    owner = this_process()
    measuring: list[ObserverSpec] = []
    if checked.environment.settings.metrics_module:
        measuring = await anyio.to_thread.run_sync(_measuring, checked, abandon_on_cancel=True)
    async with add_resume_hint(run_id, state_path) as kept, AsyncExitStack() as stack:
        shared = await stack.enter_async_context(states.use(state_path, plan.flow.state.synchronous))
        database = shared.database
        claim = await _claimed(database, run_id, owner, clock, guard)
        stack.push_async_callback(_shielded, partial(release_run, database, claim.lease, clock))
        kept.is_known = bool(claim.history)
        if guard is not None and guard.database is not database:
            await guard.database.transact(guard.check)
        leases = [claim.lease]
        if plan.flow.locks.scope == "flow":
            ttl = plan.flow.locks.ttl_seconds
            leases.append(await claim_flow(database, plan.flow_id, run_id, owner, clock, ttl))
            stack.push_async_callback(_shielded, partial(release_run, database, leases[1], clock))
        beginning = begin(checked, request, claim, run_id, owner, clock)
        state = beginning.state
        kept.secrets = secrets_to_give(plan.flow.params, state.params, checked.redactor)
        paths = replace(
            resolve_run_paths(checked, state.params), state=state_path, logs=logs_beside(state_path)
        )
        large = OutputFiles(paths.logs / run_id)
        await large.load(state)
        bus = kept.bus = Bus(shared.journal.of_run(claim.lease, claim.next_seq), clock)
        async with (
            _observed(bus, [*observers, *measuring]),
            _services(checked, paths, state, shared, owner, clock, bus, large) as services,
        ):
            machine = _ring(plan, state, services, paths.max_parallel_jobs, taking_part)
            executor = Executor(machine, bus, services, show_traces=request.show_traces)
            beat = partial(_beat, executor, database, leases, clock)
            told = [kept.event(state, clock), *beginning.notices]
            heed = partial(_follow_control, executor, run_id, control)
            await _execute(partial(executor.run, beginning.event, told), beat, heed, helper)
            if not _is_left_behind(plan, state, taking_part):
                await _clean_up(plan, state, services)
    return _report(state, bus)


def _measuring(checked: CheckedFlow) -> list[ObserverSpec]:
    """Return the observer that feeds the `METRICS` of the metrics module, which is imported: it may block.

    Raises:
        ConfigError: the module cannot be used.
    """
    from aetherflow.config.metrics_module import load_metrics  # noqa: PLC0415 - few runs have one
    from aetherflow.observe.metrics import MetricsObserver  # noqa: PLC0415 - as above

    metrics = load_metrics(checked.environment.settings.metrics_module or "")
    return [ObserverSpec("metrics", partial(MetricsObserver, metrics), "drop")]


@asynccontextmanager
async def _observed(bus: Bus, observers: Sequence[ObserverSpec]) -> AsyncIterator[None]:
    """Let the observers watch during the block, and finish after it."""
    async with one_error() as observing:
        for observer_spec in observers:
            bus.subscribe(
                observing, observer_spec.name, observer_spec.make(), when_full=observer_spec.when_full
            )
        try:
            yield
        finally:
            await bus.aclose()


async def _execute(
    run: Callable[[], Coroutine[Any, Any, None]],
    beat: Callable[[anyio.CancelScope], Coroutine[Any, Any, None]],
    *helpers: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Execute the run with its heartbeat and with what heeds wishes from outside."""
    beating = anyio.CancelScope(shield=True)
    async with one_error() as helping:
        helping.start_soon(beat, beating)
        for helper in helpers:
            helping.start_soon(helper)
        try:
            await run()
        finally:
            beating.cancel()
        helping.cancel_scope.cancel()


async def _beat(
    executor: Executor,
    database: Database,
    leases: Sequence[Lease],
    clock: Clock,
    scope: anyio.CancelScope,
) -> None:
    """Keep the run ours until `scope` is cancelled: also while a cancelled run comes to its end."""

    async def keep(lease: Lease) -> None:
        try:
            executor.fail(await keep_alive(database, lease, clock, executor.cancel))
        except AetherFlowError as error:
            executor.fail(error)

    with scope:
        async with anyio.create_task_group() as keeping:
            for lease in leases:
                keeping.start_soon(keep, lease)


async def _follow_control(executor: Executor, run_id: str, control: RunControl) -> None:
    """Cancel the run when it shall end; each time that is forced, kill what still resists."""
    executor.cancel(await control.cancelled())
    for times in itertools.count(1):
        await control.forced(times)
        await guardian.end_leftovers(run_id, grace_seconds=0)


async def _follow_signals(
    control: RunControl, states: DatabasePool, heard: list[int], on_signal: Callable[[], None] | None
) -> None:
    """Cancel the run at the first SIGINT or SIGTERM; force its end at every further one."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        if on_signal is not None:
            on_signal()
        async for number in received:
            states.hurry(0 if heard else HURRY_SECONDS)
            if heard:
                control.force()
            heard.append(number)
            control.cancel(signal.Signals(number).name)


def _ring(
    plan: Plan, state: RunState, services: RunServices, limit: int, selected: set[int] | None
) -> RunMachine:
    return RunMachine(
        plan,
        state,
        env=services.env,
        clock=services.clock,
        limit=limit,
        selected=selected,
        redact=services.redactor.value,
        large=services.large_outputs,
        scheduled_at=state.scheduled_at or None,
    )


@asynccontextmanager
async def _services(
    checked: CheckedFlow,
    paths: RunPaths,
    state: RunState,
    opened: SharedDatabase,
    owner: ProcessIdentity,
    clock: Clock,
    bus: Bus,
    large: OutputFiles,
) -> AsyncIterator[RunServices]:
    """Make what the steps share; close it at the end, and end what they left running."""
    redactor = checked.redactor
    shared = SharedConnectors.join()
    settings = checked.environment.settings

    def warn(message: str) -> None:
        announce(notice(state, clock, "warning", message))

    def mark() -> dict[str, str]:
        return {guardian.MARK: guardian.new_mark(state.run_id)}

    def announce(event: e.Event) -> None:
        match event:
            case e.Notice():
                event = msgspec.structs.replace(event, message=redactor.text(event.message))
            case e.StepOutput():
                event = msgspec.structs.replace(event, text=redactor.text(event.text))
            case _:
                pass
        bus.announce(event)

    pool = ConnectorPool(
        partial(resolve, checked, mark=mark, warn=warn), checked.registry.connector_class, shared
    )
    services = RunServices(
        flow_id=state.flow_id,
        run_id=state.run_id,
        env=checked.environment.variables,
        clock=clock,
        redactor=redactor,
        workspace=_workspace(checked, paths, state),
        zip_drivers=checked.restrictions.zip_drivers,
        log_directory=paths.logs,
        connectors=pool,
        locks=LockTable(opened.database, clock, owner, state.flow_id, state.run_id),
        pools=RunPools(opened, clock, owner, state.flow_id, state.run_id),
        nested_step=partial(call_nested, step_type_of=checked.step_type),
        announce=announce,
        threads=anyio.CapacityLimiter(paths.max_parallel_jobs + 4),
        large_outputs=large,
        execution=state.attempt,
        strict_templates=settings.strict_templates,
    )
    try:
        yield services
    finally:
        with anyio.CancelScope(shield=True):
            try:
                for pid in await guardian.end_leftovers(state.run_id):
                    message = f"process {pid} of the run could not be ended"
                    announce(notice(state, clock, "warning", message, "AF708"))
            finally:
                for problem in [*await pool.aclose(), *await shared.leave()]:
                    announce(notice(state, clock, "warning", problem.message, problem.code))


def _workspace(checked: CheckedFlow, paths: RunPaths, state: RunState) -> Workspace:
    return Workspace(
        paths.work_root,
        state.flow_id,
        state.run_id,
        paths.layout,
        checked.environment.settings.strict_sandbox,
        checked.restrictions.paths,
    )


def _state_path(checked: CheckedFlow, request: RunRequest) -> Path:
    """Return where the state of the run is; what is wrong with the parameters is told before it is opened.

    Only a run that is in the database already may leave out what it is known to have.
    """
    if request.state is not None:
        return request.state
    if request.run_id and not is_missing(known := state_of_known_run(checked, request.params)):
        return known
    return run_paths_of(checked, request.params).state


def _is_left_behind(plan: Plan, state: RunState, taking_part: set[int] | None) -> bool:
    """Whether a job took no part this time that goes on at the next resume, and needs what others made."""
    return taking_part is not None and any(
        job.index not in taking_part and state.job(job.id).status in ENDED_BADLY for job in plan.jobs
    )


async def _clean_up(plan: Plan, state: RunState, services: RunServices) -> None:
    """Remove the files of the run, as its cleanup policy says."""
    policy = plan.flow.workspace.cleanup_policy
    if policy == "always" or (policy == "on_success" and state.phase == "SUCCESS"):
        for problem in await anyio.to_thread.run_sync(services.workspace.remove, list(state.jobs)):
            services.announce(notice(state, services.clock, "warning", problem, "AF721"))


def _report(state: RunState, bus: Bus) -> RunReport:
    failed = {
        job_id: job.error
        for job_id, job in state.jobs.items()
        if job.status == "FAILED" and job.error is not None and not is_hook(job_id)
    }
    match state.phase:
        case "SUCCESS":
            return RunReport(state.run_id, "SUCCESS", 0, bus.detached)
        case "CANCELLED":
            code = 128 + signal.SIGINT
            return RunReport(state.run_id, "CANCELLED", code, bus.detached, state.outcome_reason)
        case _:
            first = next(iter(failed), "")
            why = f"job {first} failed: {failed[first].message}" if first else "a job failed"
            return RunReport(
                state.run_id,
                "FAILED",
                HeldByAnother.exit_code if {error.code for error in failed.values()} == {LOCK_HELD} else 1,
                bus.detached,
                state.outcome_reason or why,
                failed[first].code if first else "",
            )


async def _claimed(
    database: Database, run_id: str, owner: ProcessIdentity, clock: Clock, guard: ClaimPrecondition | None
) -> RunClaim:
    if guard is None or guard.database is not database:
        return await claim_run(database, run_id, owner, clock)
    return await claim_run(database, run_id, owner, clock, guard.check)


async def _shielded(call: Callable[[], Any]) -> None:
    with anyio.move_on_after(SHIELD_SECONDS, shield=True):  # a lease that was not given back ends by itself
        await call()
