"""Open and close the parts of a server: database, lease, run pool, scheduler and observers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import StateError, StateMoved, UsageError
from aetherflow.events.run_events import Event
from aetherflow.events.schedule_events import ScheduleNotice
from aetherflow.execution.bus import Bus
from aetherflow.execution.shared_connectors import keep_connectors_open
from aetherflow.execution.shared_executors import keep_executors_open
from aetherflow.runs.adoption import adoption_sentence
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.run_host import RunHost
from aetherflow.runs.run_pool import RunPool
from aetherflow.schedule.item import Schedule
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.server.firing_runs import FiringRuns
from aetherflow.server.last_resort import leave_runs
from aetherflow.server.reload import Reloader
from aetherflow.server.sd_notify import Notifier
from aetherflow.server.server_lease import ServerLease
from aetherflow.server.server_settings import ServerSettings
from aetherflow.store.database import Database
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.filesystem import is_missing
from aetherflow.store.old_database import old_beside
from aetherflow.task_errors import distinct_errors

REOPEN_SECONDS = 5.0
"""How long it may take to open a file of an observer again; the schedules are reloaded after it."""

Level = Literal["info", "warning", "error"]


class Server(msgspec.Struct, frozen=True, eq=False):
    """An open server: the parts that its services use."""

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

    def report(self, message: str, *, level: Level = "error", code: str = "AF211") -> None:
        """Send the observers a notice about the server as a whole."""
        self.bus.announce(
            server_notice(message, self.clock, self.scheduler.schedules, level=level, code=code)
        )


class _StoresNothing:
    """The subscriber of the scheduler's bus; it stores nothing, as the firings are stored already."""

    async def commit(self, events: Sequence[Event]) -> None:
        """Store nothing."""


@asynccontextmanager
async def open_server(
    schedules: Sequence[Schedule],
    settings: ServerSettings,
    state: Path,
    observers: Sequence[ObserverSpec],
    clock: Clock,
    env: Mapping[str, str],
) -> AsyncIterator[Server]:
    """Open the parts of a server for a block, and close them in reverse order.

    Raises:
        StateError: the state database cannot be used.
        BaseExceptionGroup: several services failed with different errors.
    """
    ids = [schedule.id for schedule in schedules]
    try:
        async with AsyncExitStack() as stack:
            bus = Bus(_StoresNothing(), clock)
            watching = await stack.enter_async_context(anyio.create_task_group())
            stack.push_async_callback(bus.aclose)
            for spec in observers:
                observer = spec.make()
                if spec.order is not None:
                    watching.start_soon(spec.order.run)
                    observer = spec.order.closed_by(observer)
                bus.subscribe(watching, spec.name, observer, when_full=spec.when_full)

            def report(message: str, level: Level = "error", code: str = "AF211") -> None:
                bus.announce(server_notice(message, clock, ids, level=level, code=code))

            if is_missing(state) and (old := old_beside(state)):
                report(adoption_sentence(old, state), "info", "AF185")
            warn = partial(report, level="warning", code="AF703")
            await stack.enter_async_context(keep_connectors_open(warn))
            await stack.enter_async_context(keep_executors_open())
            host = RunHost(observers=observers, on_crash=settings.on_crash, pools=settings.pools, clock=clock)
            opened = await stack.enter_async_context(host.states.use(state, access=settings.file_access))
            lease = await ServerLease.take(opened.database, clock)
            stack.push_async_callback(run_last_work, lease.give_back, partial(report, code="AF600"))
            run_pool = RunPool(
                host.execute,
                max_parallel_runs=settings.max_parallel_runs,
                on_problem=report,
                on_left=partial(leave_runs, states=host.states, bus=bus, clock=clock),
                clock=clock,
            )
            runs = FiringRuns(opened.database, lease.name, host.states, run_pool, clock)
            scheduler = Scheduler(opened.database, lease.name, clock, runs, bus.announce, lease.clocks)
            notifier = Notifier(env)
            reopen = partial(_reopen, observers, partial(report, level="warning", code="AF762"))
            reloader = Reloader(scheduler, lease, schedules, settings, notifier, clock, bus.announce, reopen)
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
    except BaseExceptionGroup as group:
        errors = distinct_errors(group)
        if len(errors) > 1:
            raise
        raise errors[0] from None


async def _reopen(observers: Sequence[ObserverSpec], report: Callable[[str], None]) -> None:
    """Open the files of the observers again; report one that cannot be opened, or not in time."""
    for spec in observers:
        if spec.reopen is None:
            continue
        problem = f"the target of the observer {spec.name} is busy, and was not opened again"
        with anyio.move_on_after(REOPEN_SECONDS):
            try:
                await spec.reopen()
            except UsageError as error:
                problem = f"{error.message}; the file that is open is still used"
            else:
                continue
        report(problem)


async def run_last_work(work: Callable[[], Coroutine[Any, Any, None]], report: Callable[[str], None]) -> None:
    """Do the last work of a server on its database; report a failure, which other servers can handle."""
    try:
        await work()
    except StateMoved:
        return  # the server ends because of it, and its error says so
    except StateError as error:
        report(f"{error.message}; other servers take over when they see that this one has ended")


def server_notice(
    message: str, clock: Clock, scheduler_ids: Iterable[str], *, level: Level = "error", code: str = "AF211"
) -> ScheduleNotice:
    """Return a notice about a server as a whole, with the id of its first scheduler file, if any."""
    first = next(iter(scheduler_ids), "")
    return ScheduleNotice(at=clock.now(), scheduler=first, message=message, level=level, code=code)
