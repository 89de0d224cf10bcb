"""`aetherflow serve`: scheduler and runner in one process, for years.

A server is a task group of services around one state database. What is added to a server later (an HTTP API,
a console, event triggers) is one more entry of `services`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import anyio.to_thread
import msgspec

from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import AetherFlowError, StateError
from aetherflow.events.run_events import Event
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.execution.bus import Bus
from aetherflow.execution.shared_connectors import kept_open
from aetherflow.observe import schedule_text  # noqa: F401 - it gives the events of a scheduler their words
from aetherflow.runs.crash_recovery import recovery_tickets
from aetherflow.runs.execute_run import ObserverSpec
from aetherflow.runs.run_host import RunHost, load_flow_of
from aetherflow.runs.run_pool import RunPool
from aetherflow.schedule.item import Schedule
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.server.firing_runs import FiringRuns
from aetherflow.server.last_resort import ForcedEnd, leave_runs
from aetherflow.server.reload import Reloader
from aetherflow.server.schedule_files import load_schedules, state_of_schedules
from aetherflow.server.sd_notify import Notifier
from aetherflow.server.server_lease import ServerLease
from aetherflow.server.server_settings import ServerSettings, settings_of
from aetherflow.store.database import Database
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.firings import firing_of_run

Service = Callable[[], Coroutine[Any, Any, None]]


class ServeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What `aetherflow serve` was asked for."""

    files: tuple[Path, ...]
    state: Path | None = None


class Server(msgspec.Struct, frozen=True, eq=False):
    """A running server: what its services work with."""

    lease: ServerLease
    database: Database
    settings: ServerSettings
    run_pool: RunPool
    scheduler: Scheduler
    reloader: Reloader
    notifier: Notifier
    bus: Bus
    states: DatabasePool
    clock: Clock

    def services(self) -> list[Service]:
        """Return what runs as long as the server does; each is cancelled when it stops."""
        return [
            self.lease.keep,
            self.scheduler.run,
            self.reloader.watch,
            partial(self.notifier.watch, self.clock),
        ]


class _Nothing:
    """The durable side of the scheduler's bus: what its events tell is in the firings already."""

    async def append(self, events: Sequence[Event]) -> None:
        """Store nothing."""


async def serve(
    request: ServeRequest,
    observers: Sequence[ObserverSpec],
    *,
    clock: Clock | None = None,
    process_env: Mapping[str, str] | None = None,
    on_ready: Callable[[Server], None] = lambda _server: None,
) -> int:
    """Serve until a signal ends it, and return the exit code: 130 after SIGINT, 143 after SIGTERM.

    If a run does not end, not even by force, the process exits with code 70 (see `last_resort`).

    Raises:
        InvalidInput: a scheduler file is wrong.
        UsageError: the files contradict each other.
        StateError: the state database cannot be used.
    """
    env = os.environ if process_env is None else process_env
    schedules = await anyio.to_thread.run_sync(load_schedules, request.files)
    settings = settings_of(schedules)
    state = state_of_schedules(schedules, request.state, env)
    with ForcedEnd() as forced_end:
        async with open_server(schedules, settings, state, observers, clock or SystemClock(), env) as server:
            number = await _serve_until_signal(server, schedules, state, forced_end, on_ready)
    return 128 + number


async def _serve_until_signal(
    server: Server,
    schedules: Sequence[Schedule],
    state: Path,
    forced_end: ForcedEnd,
    on_ready: Callable[[Server], None],
) -> int:
    """Run the services until the first signal has ended the runs; return the signal's number."""
    signals: list[int] = []
    first = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run_pool.run)
        async with anyio.create_task_group() as serving:
            serving.start_soon(_follow_signals, server, signals, first, forced_end)
            await _begin(server, schedules, state)
            for service in server.services():
                serving.start_soon(service)
            server.notifier.tell("READY=1", f"STATUS={len(schedules)} scheduler files")
            on_ready(server)
            await first.wait()
            await _stop(server)
            serving.cancel_scope.cancel()
    return signals[0]


@asynccontextmanager
async def open_server(
    schedules: Sequence[Schedule],
    settings: ServerSettings,
    state: Path,
    observers: Sequence[ObserverSpec],
    clock: Clock,
    env: Mapping[str, str],
) -> AsyncIterator[Server]:
    """Put the parts together, and take them apart again.

    Raises:
        StateError: the state database cannot be used.
    """
    try:
        async with _opened_server(schedules, settings, state, observers, clock, env) as server:
            yield server
    except BaseExceptionGroup as group:
        error = _expected(group)
        if error is None:
            raise
        raise error from None


def _expected(group: BaseExceptionGroup[BaseException]) -> AetherFlowError | None:
    """Return the first error that several tasks ended with, if it is none that only a bug explains."""
    leaves: list[BaseException] = [group]
    while any(isinstance(leaf, BaseExceptionGroup) for leaf in leaves):
        leaves = [one for leaf in leaves for one in getattr(leaf, "exceptions", (leaf,))]
    errors = [leaf for leaf in leaves if isinstance(leaf, AetherFlowError)]
    return errors[0] if len(errors) == len(leaves) else None


@asynccontextmanager
async def _opened_server(
    schedules: Sequence[Schedule],
    settings: ServerSettings,
    state: Path,
    observers: Sequence[ObserverSpec],
    clock: Clock,
    env: Mapping[str, str],
) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        bus = Bus(_Nothing(), clock)
        watching = await stack.enter_async_context(anyio.create_task_group())
        stack.push_async_callback(bus.aclose)
        for spec in observers:
            bus.subscribe(watching, spec.name, spec.make(), when_full=spec.when_full)
        await stack.enter_async_context(
            kept_open(
                lambda told: bus.announce(_problem(told, schedules, clock, level="warning", code="AF703"))
            )
        )
        runs = FiringRuns(load_flow_of, clock)
        host = RunHost(
            load=runs.load,
            observers=lambda _ticket, _examined: observers,
            guard=runs.guard,
            on_crash=settings.on_crash,
            pools=settings.pools,
            clock=clock,
        )
        opened = await stack.enter_async_context(host.states.use(state))
        lease = await ServerLease.take(opened.database, clock)
        stack.push_async_callback(
            _leave, lease.give_back, lambda told: bus.announce(_problem(told, schedules, clock, code="AF600"))
        )
        run_pool = RunPool(
            host.execute,
            max_parallel_runs=settings.max_parallel_runs,
            observer=runs,
            on_problem=lambda problem: bus.announce(_problem(problem, schedules, clock)),
            on_left=partial(leave_runs, states=host.states, bus=bus, clock=clock),
            clock=clock,
        )
        scheduler = Scheduler(opened.database, lease.name, clock, runs, bus.announce)
        runs.connect(opened.database, host.states, run_pool, scheduler)
        notifier = Notifier(env)
        reloader = Reloader(scheduler, lease, schedules, settings, notifier, clock, bus.announce)
        yield Server(
            lease=lease,
            database=opened.database,
            settings=settings,
            run_pool=run_pool,
            scheduler=scheduler,
            reloader=reloader,
            notifier=notifier,
            bus=bus,
            states=host.states,
            clock=clock,
        )


async def _begin(server: Server, schedules: Sequence[Schedule], state: Path) -> None:
    """Bring the files into force, and go on with the runs that a dead server left.

    Those of firings are taken over with their firings, by whoever serves their file.
    """
    for schedule in schedules:
        await server.reloader.put(schedule, is_first=True)
    for ticket in await recovery_tickets(server.states, state, server.clock):
        run_id = ticket.run_id
        if await server.database.read(partial(firing_of_run, run_id=run_id)) is None:
            try:
                await server.run_pool.submit(ticket)
            except AetherFlowError as error:
                server.bus.announce(_problem(error.message, schedules, server.clock))


async def _follow_signals(
    server: Server, heard: list[int], first: anyio.Event, forced_end: ForcedEnd
) -> None:
    """Stop at the first SIGINT or SIGTERM, by force at the second; SIGHUP reads the files again."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as received:
        async for number in received:
            if number == signal.SIGHUP:
                server.reloader.reload_soon()
                continue
            heard.append(number)
            if len(heard) == 1:
                first.set()
            else:
                forced_end.begin()
                server.run_pool.force()


async def _stop(server: Server) -> None:
    """Fire nothing more, let the runs end, leave to others what has not begun."""
    server.notifier.tell("STOPPING=1")
    server.scheduler.stop()
    await _release(server)
    running = len(server.run_pool.running())
    grace = server.settings.shutdown_grace_seconds
    message = "the server stops: "
    message += (
        f"{running} run{'' if running == 1 else 's'} may take {grace:g} s to end"
        if running
        else "nothing runs"
    )
    server.bus.announce(ScheduleNotice(at=server.clock.now(), scheduler="", message=message, level="info"))
    await server.run_pool.drain(server.settings.shutdown_grace_seconds)
    await _release(server)


async def _release(server: Server) -> None:
    """Leave what has not begun to others: at once, that nobody waits for it while the last runs end."""
    schedules = list(server.scheduler.schedules.values())
    await _leave(
        server.scheduler.release,
        lambda told: server.bus.announce(_problem(told, schedules, server.clock, code="AF600")),
    )


async def _leave(work: Callable[[], Coroutine[Any, Any, None]], tell: Callable[[str], None]) -> None:
    """Do the last work of a server on its database; where it cannot be done, others see it by themselves."""
    try:
        await work()
    except StateError as error:
        tell(f"{error.message}; other servers take over when they see that this one has ended")


def _problem(
    problem: str,
    schedules: Sequence[Schedule],
    clock: Clock,
    *,
    level: Literal["warning", "error"] = "error",
    code: str = "AF211",
) -> ScheduleNotice:
    return ScheduleNotice(at=clock.now(), scheduler=schedules[0].id, message=problem, level=level, code=code)
