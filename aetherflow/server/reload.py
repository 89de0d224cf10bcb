"""Reload scheduler files that change while they are served; a wrong one is reported and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel

from aetherflow.clock import Clock
from aetherflow.errors import AetherFlowError, InvalidInput, StateError
from aetherflow.events.schedule_events import (
    ScheduleEvent,
    ScheduleInvalid,
    ScheduleLoaded,
    ScheduleNotice,
    ScheduleUpcoming,
)
from aetherflow.schedule.item import Schedule, Signature
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.server.file_watch import POLL_SECONDS, signatures, watch_files
from aetherflow.server.item_problems import refuse_wrong_items
from aetherflow.server.project_watch import problem_of_project, project_files
from aetherflow.server.schedule_files import load_again
from aetherflow.server.sd_notify import Notifier
from aetherflow.server.server_lease import ServerLease
from aetherflow.server.server_settings import ServerSettings, settings_of
from aetherflow.server.upcoming_items import MOST_ITEMS, upcoming_items
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("schedule files", 4)


class Reloader:
    """Loads scheduler files into the scheduler, first at the start and again whenever they change."""

    def __init__(
        self,
        scheduler: Scheduler,
        lease: ServerLease,
        schedules: Sequence[Schedule],
        settings: ServerSettings,
        notifier: Notifier,
        clock: Clock,
        report: Callable[[ScheduleEvent], None],
        reopen: Callable[[], Awaitable[None]],
    ) -> None:
        self._scheduler = scheduler
        self._lease = lease
        self._ids = {schedule.file: schedule.id for schedule in schedules}
        self._as_read = [schedule.signature for schedule in schedules]
        self._settings = settings
        self._notifier = notifier
        self._clock = clock
        self._report = report
        self._reopen = reopen
        self._requested = anyio.Event()
        self._one_at_a_time = anyio.Lock()

    def reload_soon(self) -> None:
        """Request to reopen the files of the observers and to read all schedules again (SIGHUP)."""
        self._requested.set()

    async def watch(self) -> None:
        """Read files again when they change or `reload_soon` is called, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch_files, list(self._ids), self._clock, self.reload, self._as_read)
            tasks.start_soon(self._watch_beside)
            projects = await _threads.run(project_files, list(self._ids), abandon_on_cancel=True)
            tasks.start_soon(watch_files, projects, self._clock, self._project_changed)
            while True:
                await self._requested.wait()
                self._requested = anyio.Event()
                await self._reopen()
                for file in self._ids:
                    await self.reload(file)

    async def _watch_beside(self) -> None:
        """Read a schedule again when a file of holidays changed, or a missing flow or manifest appeared."""
        seen: dict[Path, list[Signature]] = {}
        tried: dict[Path, tuple[Schedule, list[Signature]]] = {}
        while True:
            await self._clock.sleep(POLL_SECONDS)
            for one in list(self._scheduler.schedules.values()):
                if not one.beside:
                    continue
                now = await _threads.run(signatures, list(one.beside), abandon_on_cancel=True)
                known = list(one.beside.values())
                if one.file in tried and tried[one.file][0] is one:
                    known = tried[one.file][1]  # it was wrong then
                if now != known and now == seen.get(one.file):
                    tried[one.file] = (one, now)
                    await self.reload(one.file)
                seen[one.file] = now

    async def _project_changed(self, file: Path) -> None:
        """Report what a change of a project file means: every run reads it when it starts."""
        problem = await _threads.run(problem_of_project, file, abandon_on_cancel=True)
        message = f"{file} has changed: runs that start now use it; what it sets for the server itself holds "
        message += "when the server starts again"
        if problem:
            message = f"{file} has changed and is not valid; runs are refused until then: {problem}"
        notice = ScheduleNotice(
            at=self._clock.now(), scheduler="", message=message, level="error" if problem else "info"
        )
        self._report(notice)

    async def reload(self, file: Path) -> None:
        """Read a file again; report an invalid one and continue with the old one."""
        async with self._one_at_a_time:
            self._notifier.reloading()
            try:
                await self._reload(file)
            finally:
                self._notifier.send("READY=1")

    async def _reload(self, file: Path) -> None:
        try:
            schedule = await _threads.run(load_again, file, abandon_on_cancel=True)
            if self._settings.strict:
                await _threads.run(refuse_wrong_items, schedule, abandon_on_cancel=True)
            if schedule.id != self._ids[file]:
                problem = f"its id became {schedule.id!r}: start the server again for that"
                await self._refuse(file, problem, problem)
            else:
                await self.put(schedule)
        except InvalidInput as error:
            await self._refuse(file, "\n".join(map(str, error.diagnostics)), error.diagnostics[0].message)
        except AetherFlowError as error:
            await self._refuse(file, error.message, error.message)

    async def put(self, schedule: Schedule, *, is_first: bool = False) -> None:
        """Load a schedule into the scheduler, and report how it differs from the one before.

        Raises:
            StateError: the database cannot be used.
        """
        changes = await self._scheduler.put(schedule)
        await self._lease.store_served_file(schedule)
        outlook = await self._scheduler.outlook(schedule)
        now = self._clock.now()
        shown = schedule.items if is_first else (*changes.added, *changes.changed)
        upcoming = upcoming_items((schedule.items[name] for name in shown), outlook, now, is_first=is_first)
        self._report(
            ScheduleLoaded(
                at=now,
                scheduler=schedule.id,
                file=str(schedule.file),
                item_count=len(schedule.items),
                added=() if is_first else tuple(changes.added),
                removed=tuple(changes.removed),
                changed=tuple(changes.changed),
                is_first=is_first,
                upcoming=next(upcoming, ()),
            )
        )
        first = 1 + MOST_ITEMS
        for more in upcoming:
            await anyio.lowlevel.checkpoint()
            self._report(
                ScheduleUpcoming(
                    at=now,
                    scheduler=schedule.id,
                    file=str(schedule.file),
                    first=first,
                    listed=len(shown),
                    upcoming=more,
                )
            )
            first += len(more)
        if not is_first:
            self._report_settings(schedule)

    def _report_settings(self, schedule: Schedule) -> None:
        """Report changes that only take effect when the server starts again."""
        new = settings_of([schedule])
        names = [
            name
            for name in ("max_parallel_runs", "shutdown_grace_seconds", "on_crash", "pools")
            if getattr(schedule.spec, name) and getattr(new, name) != getattr(self._settings, name)
        ]
        if names:
            message = f"{schedule.file}: {', '.join(names)} changed; that holds when the server starts again"
            self._report(ScheduleNotice(at=self._clock.now(), scheduler=schedule.id, message=message))

    async def _refuse(self, file: Path, problem: str, first: str) -> None:
        """Report the problems of a file, and store the first one for `scheduler status`."""
        name = self._ids[file]
        self._report(ScheduleInvalid(at=self._clock.now(), scheduler=name, file=str(file), problem=problem))
        with suppress(StateError):  # a database that fails is reported elsewhere
            await self._lease.store_served_file(self._scheduler.schedules[name], first)
