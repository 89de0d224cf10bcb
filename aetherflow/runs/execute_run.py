"""Execute one run: claim it, start it, observe it, run its jobs, clean up after it."""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from msgspec.structs import replace

from aetherflow import exit_codes
from aetherflow.cli_hints import retry_command
from aetherflow.clock import Clock, SystemClock
from aetherflow.engine.machine import RunMachine, in_process
from aetherflow.engine.resume import refused_readers
from aetherflow.engine.state import ENDED_BADLY, RunState, plan_job_id
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.execution.bus import Bus
from aetherflow.execution.executor import Executor
from aetherflow.execution.output_files import OutputFiles
from aetherflow.execution.ports import Placement
from aetherflow.plan.hooks import is_hook
from aetherflow.process import guardian
from aetherflow.run_ids import folder_name
from aetherflow.runs.claimed_run import ClaimedRun, Service, claim, renew_leases, while_claimed
from aetherflow.runs.early_secrets import EarlySecrets
from aetherflow.runs.forced_end import ForcedEnd
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.ports import ClaimPrecondition, ObserverSpec
from aetherflow.runs.received_signals import ReceivedSignals
from aetherflow.runs.resolved_run import ResolvedRun, resolve_run
from aetherflow.runs.resume_hint import ResumeHint
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_observers import observers_of_settings
from aetherflow.runs.run_output import run_output
from aetherflow.runs.run_paths import RunPaths, resolve_run_paths, with_folders, with_workers
from aetherflow.runs.run_request import RunRequest
from aetherflow.runs.run_services import run_services
from aetherflow.runs.run_ticket import RunReport
from aetherflow.runs.start_run import RunStart, start_run
from aetherflow.runs.stop_notices import HOOKS_SECONDS, advice_for, first_notice, grace_of, second_notice
from aetherflow.sdk.services import RunServices
from aetherflow.stop_signals import end_with, name_of
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.filesystem import logs_beside
from aetherflow.task_errors import one_error
from aetherflow.worker_threads import WorkerThreads

if TYPE_CHECKING:
    from aetherflow.runs.executors import RunExecutors

_threads = WorkerThreads("files and settings of runs", 16)

HURRY_SECONDS = 5.0
"""How long a run that was asked to stop waits for a database that another process has locked."""

FORCED_END_SECONDS = {2: 60.0, 3: 10.0}
"""How long a run may take to end after a second and a third signal: a step may swallow its cancellation."""

CUT_OFF_SECONDS = 2.0
"""How long to wait before the programs of further hooks are killed too."""

SILENT_SECONDS = 3.0
"""How long a run that was asked to stop may take to end before the log says what it waits for."""

STILL_ENDING = (
    "the run has not ended yet: "
    "a program is killed when its kill_grace_seconds have passed, or at a second signal"
)

HOOKS_END_IT = "the jobs have ended; the hooks run to their end, or until a second signal"

__all__ = ["ObserverSpec", "RunReport", "RunRequest", "execute_run", "run_flow"]


async def run_flow(
    checked: CheckedFlow,
    request: RunRequest,
    observers: Sequence[ObserverSpec],
    *,
    clock: Clock | None = None,
) -> RunReport:
    """Start or resume a run and execute it to its end, as the only run of its process; signals stop it.

    Until the run starts, and when it has ended, a signal does what it did before: it ends the process.

    Raises:
        UsageError: the request does not fit the flow, or the run id belongs to another flow.
        HeldByAnother: another process executes the run, or another run of a flow that runs one at a time.
        StateError: the state database cannot be used.
        ConfigError: a path, the metrics module or an observer cannot be used.
    """
    clock = clock or SystemClock()
    run = resolve_run(checked, request, clock)
    control, states = RunControl(), DatabasePool()
    received: list[int] = []
    resume = retry_command(run.run_id, run.named_state, executor=checked.named_executor)
    then = f"the process exits now, and {resume} resumes the run"
    with (
        ForcedEnd(FORCED_END_SECONDS, f"run {run.run_id}", then) as forced_end,
        ReceivedSignals(forced_end.count) as signals,
    ):

        def follow() -> Coroutine[Any, Any, None]:
            signals.open()  # before the task runs, as the first event may be stored by then
            return _follow_signals(signals, control, states, received)

        report = await execute_run(run, observers, states=states, control=control, clock=clock, beside=follow)
        if report.status == "CANCELLED" and received:
            report = replace(report, exit_code=exit_codes.of_signal(received[0]))
        end_with(report.exit_code)
        return report


async def execute_run(
    run: ResolvedRun,
    observers: Sequence[ObserverSpec],
    *,
    states: DatabasePool,
    control: RunControl,
    clock: Clock,
    beside: Service = anyio.sleep_forever,
    precondition: ClaimPrecondition | None = None,
) -> RunReport:
    """Start or resume a run and execute it to its end.

    Args:
        run: the run to execute.
        observers: receive its events.
        states: opens the state database, or shares the open one.
        control: requests from outside to stop the run.
        clock: the clock of the run.
        beside: a task that runs while the secrets of the run are fetched, and while its jobs run.
        precondition: must hold when the run is claimed.

    Raises:
        UsageError: the request does not fit the flow, or the run id belongs to another flow.
        HeldByAnother: another process executes the run, or another run of a flow that runs one at a time.
        StateError: the state database cannot be used.
        ConfigError: a path, the metrics module or an observer cannot be used.
    """
    hint = ResumeHint(run.run_id, run.named_state, run.checked.named_executor)
    with run_output() as output, hint.on_state_error():
        observers = [*observers, *await observers_of_settings(run.checked, run.run_id, _threads)]
        async with AsyncExitStack() as stack:
            claimed = await stack.enter_async_context(claim(run, states, clock, precondition, hint))
            secrets = EarlySecrets(run.checked, run.run_id, clock)
            executors = await _executors_of(run, claimed.stored.state, observers, clock, stack)
            if executors is not None:
                await while_claimed(executors.open, claimed, clock, control, beside)
            if secrets.are_needed:
                await while_claimed(secrets.fetch, claimed, clock, control, beside)
            found = {} if executors is None else await executors.find(claimed.stored.state)
            start = start_run(run, claimed.stored, claimed.owner, clock, found)
            journal = claimed.database.journal.of_run(claimed.claim.lease, claimed.claim.next_seq)
            bus = Bus(journal, clock, run.checked.redactor.text, stored=claimed.claim.next_seq - 1)
            hint.on_started(bus, start.secrets)
            state, paths = start.state, resolve_run_paths(run.checked, start.state.params, run.state)
            run = replace(run, checked=with_folders(run.checked, paths))
            if executors is not None:
                paths = with_workers(paths, run.checked.plan, executors.slots)
            output_files = OutputFiles(
                paths.logs / folder_name(run.run_id), access=run.checked.environment.settings.file_access
            )
            await output_files.load(state)
            shared = claimed.database, claimed.owner, bus, output_files, clock
            async with (
                _attached(bus, observers),
                run_services(run.checked, state, paths, *shared, secrets=secrets) as services,
                _placements(executors, run, services) as placements,
            ):
                executor = _executor(run, state, services, bus, paths, executors, placements)
                if control.is_cancelled:  # while the secrets were fetched: nothing begins
                    (executor.leave if control.leaves else executor.cancel)(control.reason)

                events = EventFactory(clock, state.flow_id, state.run_id)

                def say(why: str) -> None:
                    bus.announce(events.notice("warning", why))  # a terminal shows nothing below

                follow = partial(_follow_control, executor, control, say, run)
                printed = output.begin(bus, events, services.redactor)
                first_events = [*_first_events(run, start, secrets, clock), *printed]
                if executors is not None:
                    await executors.end_others(found, start.event)
                    first_events += executors.notices()
                    executors.show(bus.announce, events)
                needed_again = start.secrets
                del start  # its event holds the whole plan, as long as it is not durable
                await _execute(executor, first_events, claimed, clock, follow, beside)
                await _clean_up(run, state, services)
    report = replace(_report(state, bus), state=str(run.state))
    if report.status == "SUCCESS":
        return report
    refused = refused_readers(run.checked.plan, state, run.selected)
    named = run.checked.named_executor
    resume = retry_command(run.run_id, run.named_state, needed_again, refused, executor=named)
    return replace(report, resume=resume)


async def _executors_of(
    run: ResolvedRun,
    state: RunState,
    observers: Sequence[ObserverSpec],
    clock: Clock,
    stack: AsyncExitStack,
) -> RunExecutors | None:
    """Return the executors of a run, not open yet; None if it needs none. They are left with the stack."""
    was_elsewhere = any(step.executor for job in state.jobs.values() for step in job.steps.values())
    if not run.checked.executors and not was_elsewhere:
        return None
    from aetherflow.runs.executors import executors_of_run  # noqa: PLC0415 - most runs are local

    events = EventFactory(clock, run.checked.plan.flow_id, run.run_id)
    return await stack.enter_async_context(executors_of_run(run, state, observers, events))


@asynccontextmanager
async def _placements(
    executors: RunExecutors | None, run: ResolvedRun, services: RunServices
) -> AsyncIterator[dict[str, Placement]]:
    if executors is None:
        yield {}
        return
    async with executors.placements(run.checked, services) as placements:
        yield placements


def _first_events(run: ResolvedRun, start: RunStart, secrets: EarlySecrets, clock: Clock) -> list[e.Event]:
    """Return the event that starts or resumes the run, and the notices that follow it."""
    factory = EventFactory(clock, start.state.flow_id, run.run_id)
    logs = str(logs_beside(run.state) / folder_name(run.run_id))
    jobs, instances = _kept(start.state) if isinstance(start.event, e.RunResumed) else ([], {})
    persisted = factory.make(
        e.RunPersisted,
        state=str(run.state),
        is_usual_state=run.is_usual_state,
        logs=logs,
        secrets=start.secrets,
        kept_jobs=jobs,
        kept_instances=instances,
    )
    return [start.event, persisted, *start.notices, *secrets.notices(factory)]


def _kept(state: RunState) -> tuple[list[str], dict[str, int]]:
    """Return the jobs that have ended and do not run again, and of mapped jobs how many instances have."""
    ended = [id_ for id_, job in state.jobs.items() if job.status not in ("PENDING", "RUNNING")]
    instances = Counter(plan_job_id(id_) for id_ in ended if "[" in id_)
    return [id_ for id_ in ended if "[" not in id_ and not is_hook(id_)], dict(instances)


@asynccontextmanager
async def _attached(bus: Bus, observers: Sequence[ObserverSpec]) -> AsyncIterator[None]:
    """Let the observers watch during the block, and finish after it."""
    async with one_error() as observing:
        for spec in observers:
            bus.subscribe(observing, spec.name, spec.make(), when_full=spec.when_full)
        try:
            yield
        finally:
            await bus.aclose()


def _executor(
    run: ResolvedRun,
    state: RunState,
    services: RunServices,
    bus: Bus,
    paths: RunPaths,
    executors: RunExecutors | None,
    placements: dict[str, Placement],
) -> Executor:
    machine = RunMachine(
        run.checked.plan,
        state,
        env=services.env,
        clock=services.clock,
        limit=paths.max_parallel_jobs,
        most_ahead=paths.max_jobs_ahead,
        selected=run.selected,
        redact=services.redactor.value,
        large=services.large_outputs,
        scheduled_at=state.scheduled_at or None,
        executor_of=in_process if executors is None else executors.places.executor_of,
    )
    return Executor(
        machine,
        bus,
        services,
        placements=placements,
        show_traces=run.request.show_traces,
        item_timeout=run.request.item_timeout_seconds,
    )


async def _execute(
    executor: Executor, first_events: list[e.Event], claimed: ClaimedRun, clock: Clock, *beside: Service
) -> None:
    """Run the jobs to their end; beside them a heartbeat renews the leases, and `beside` runs."""
    heartbeat = anyio.CancelScope(shield=True)  # also a cancelled run renews its leases until it has ended
    async with one_error() as tasks:
        tasks.start_soon(renew_leases, executor, claimed, clock, heartbeat)
        for task in beside:
            tasks.start_soon(task)
        try:
            await executor.run(first_events)
        finally:
            heartbeat.cancel()
        tasks.cancel_scope.cancel()


async def _follow_control(
    executor: Executor, control: RunControl, say: Callable[[str], None], run: ResolvedRun
) -> None:
    """Cancel the run when that is requested; at each further request end its hooks and kill its processes."""
    reason = await control.cancelled()
    has_hooks = bool(run.checked.plan.flow.on_exit)
    if control.advice is not None:
        grace = grace_of(run.checked.plan)
        say(first_notice(control.advice, runs_hooks=executor.runs_hooks, has_hooks=has_hooks, grace=grace))
    elif executor.runs_hooks and not executor.was_cancelled:
        say(HOOKS_END_IT)
    (executor.leave if control.leaves else executor.cancel)(reason)  # hooks run on
    with anyio.move_on_after(SILENT_SECONDS) as silence:
        await control.forced()
    if silence.cancelled_caught:
        say(STILL_ENDING)
    for times in itertools.count(1):
        await control.forced(times)
        if times == 1 and control.advice is not None:
            say(second_notice(control.advice, runs_hooks=executor.runs_hooks, has_hooks=has_hooks))
        (executor.leave_at_once if control.leaves else executor.cancel_hooks)(reason)
        await guardian.end_leftovers(run.run_id, grace_seconds=0)


async def _follow_signals(
    signals: ReceivedSignals, control: RunControl, states: DatabasePool, received: list[int]
) -> None:
    """Cancel the run at the first signal that asks to stop, kill its programs at the second."""
    third = f"ends this process within {FORCED_END_SECONDS[3]:g} s, and the run can be resumed"
    async with anyio.create_task_group() as tasks:
        async for number in signals:
            states.hurry(0 if received else HURRY_SECONDS)
            if received:
                control.force()
            if len(received) == 1:
                tasks.start_soon(_cut_off_hooks, control)
            received.append(number)
            control.cancel(name_of(number), advice_for(number, third=third))


async def _cut_off_hooks(control: RunControl) -> None:
    """After a second signal hooks run for a while, and are then cut off, each of them."""
    await anyio.sleep(HOOKS_SECONDS)
    while True:
        control.force()
        await anyio.sleep(CUT_OFF_SECONDS)


async def _clean_up(run: ResolvedRun, state: RunState, services: RunServices) -> None:
    """Remove the files of the run, as its cleanup policy says, unless a later resume needs them."""
    policy = run.checked.plan.flow.workspace.cleanup_policy
    if (
        state.phase == "RUNNING"
        or _is_unfinished(run, state)
        or not (policy == "always" or (policy == "on_success" and state.phase == "SUCCESS"))
    ):
        return
    for problem in await _threads.run(services.workspace.remove, list(state.jobs)):
        events = EventFactory(services.clock, state.flow_id, state.run_id)
        services.announce(events.notice("warning", problem, "AF721"))


def _is_unfinished(run: ResolvedRun, state: RunState) -> bool:
    """Whether a job that was not selected runs at the next resume, and may need files of the others."""
    return run.selected is not None and any(
        job.index not in run.selected and state.job(job.id).status in ENDED_BADLY
        for job in run.checked.plan.jobs
    )


def _report(state: RunState, bus: Bus) -> RunReport:
    failed = {
        job_id: job.error
        for job_id, job in state.jobs.items()
        if job.status == "FAILED" and job.error is not None and not is_hook(job_id)
    }
    match state.phase:
        case "SUCCESS":
            return RunReport(state.run_id, "SUCCESS", exit_codes.SUCCESS, bus.detached)
        case "CANCELLED":
            code = exit_codes.of_signal(signal.SIGINT)
            return RunReport(state.run_id, "CANCELLED", code, bus.detached, state.outcome_reason)
        case "RUNNING":
            return RunReport(state.run_id, "LEFT", exit_codes.HELD, bus.detached, state.cancel_reason)
        case _:
            first = next(iter(failed), "")
            why = f"job {first} failed: {failed[first].message}" if first else "a job failed"
            is_temporary = bool(failed) and all(error.is_temporary for error in failed.values())
            return RunReport(
                state.run_id,
                "FAILED",
                exit_codes.HELD if is_temporary else exit_codes.FAILURE,
                bus.detached,
                state.outcome_reason or why,
                failed[first].code if first else "",
            )
