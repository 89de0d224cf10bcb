"""Read runs, locks, pools and schedulers from a state database, for the commands. Async, changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from aetherflow.admin.named_run import named_run
from aetherflow.admin.run_history import RunFacts, RunHistory, read_history
from aetherflow.admin.stored_marks import MarkHistory, mark_history
from aetherflow.cli_hints import state_option
from aetherflow.clock import Clock, SystemClock
from aetherflow.errors import UsageError
from aetherflow.events.bundle_use import BundleUse
from aetherflow.events.run_events import RunResumed, RunStarted
from aetherflow.run_ids import folder_name
from aetherflow.store import queries as rows
from aetherflow.store.database import Database
from aetherflow.store.filesystem import logs_beside
from aetherflow.store.firings import firing_of_run, has_runs_elsewhere, run_seconds
from aetherflow.store.marks import MarkRow, list_marks
from aetherflow.store.pauses import Pause, read_pauses
from aetherflow.store.pools import PoolRow, list_pools
from aetherflow.store.queries import LockRow
from aetherflow.store.run_list import ListedRun, listed_runs
from aetherflow.store.run_rows import RunFilter, RunRow, last_unfinished_run, list_runs

if TYPE_CHECKING:
    from aetherflow.admin.explain_tick import TickExplanation
    from aetherflow.admin.item_history import HistoryEntry
    from aetherflow.engine.resume import ResumePlan
    from aetherflow.plan.plan import Plan
    from aetherflow.runs.run_request import RunRequest
    from aetherflow.schedule.item import Schedule
    from aetherflow.server.backfill_status import BackfillStatus
    from aetherflow.server.in_force import AskedFile, InForce
    from aetherflow.server.scheduler_status import SchedulerStatus


class RetryTarget(msgspec.Struct, frozen=True):
    """A run to resume, and its flow.

    Attributes:
        flow_file: the path as typed when the run was last started or resumed.
        directory: the working directory at that time; empty if unknown.
        flow_job: the job that `--flow-job` selected.
        bundle: the bundle of the flow, if any.
    """

    run_id: str
    flow_file: str
    directory: str = ""
    flow_job: str = ""
    bundle: BundleUse | None = None


class StateQueries:
    """Reads from one open state database, which the caller opens and closes.

    Every method may raise StateError: the database cannot be read.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()

    async def runs(self, *, flow_id: str = "", status: str = "", limit: int = 20) -> list[RunRow]:
        """Return the newest runs, filtered by flow and status if given."""
        wanted = RunFilter(flow_id, statuses=(status.upper(),) if status else ())
        return await self._database.read(lambda raw: list_runs(raw, wanted, limit))

    async def listed_runs(self, wanted: RunFilter, limit: int) -> list[ListedRun]:
        """Return the newest runs that fit, with their durations, what fired them, and why they failed."""
        return await self._database.read(lambda raw: listed_runs(raw, wanted, limit, self._clock.now()))

    async def has_runs_elsewhere(self) -> bool:
        """Whether items of a scheduler on this database have started runs that it does not have."""
        return await self._database.read(has_runs_elsewhere)

    async def run_history(self, name: str = "") -> RunHistory:
        """Return a run with its jobs and steps: by its id, the beginning of its id, or else the newest.

        Raises:
            UsageError: there is no such run.
        """

        def read(raw: sqlite3.Connection) -> RunHistory:
            return read_history(raw, named_run(raw, self._database.path, name), self._clock.now())

        return await self._database.read(read)

    async def find_history(self, name: str = "") -> RunHistory | None:
        """Return what `run_history` does; None if no name was given and there are no runs.

        Raises:
            UsageError: there is no such run.
        """
        return await self.run_history(name) if name or await self.runs(limit=1) else None

    async def run_facts(self, name: str = "") -> RunFacts:
        """Return what explains a run, which is named as in `run_history`.

        Raises:
            UsageError: there is no such run.
        """
        from aetherflow.store.alerts import alerts_of  # noqa: PLC0415 - most queries do not need it

        def read(raw: sqlite3.Connection) -> RunFacts:
            run = named_run(raw, self._database.path, name)
            history = read_history(raw, run, self._clock.now())
            firing = firing_of_run(raw, run.run_id)
            if firing is None:
                first = next(iter(rows.beginnings_of(raw, run.run_id)), None)
                if isinstance(first, RunStarted) and first.origin == "serve":
                    return RunFacts(history, served_for=first.scheduled_at, is_report=not first.scheduled_at)
                return RunFacts(history)
            tick = firing.scheduled_at
            alerts = alerts_of(raw, firing.scheduler, firing.item_id, tick, tick)
            return RunFacts(history, firing, alerts)

        return await self._database.read(read)

    async def run(self, name: str = "") -> RunRow:
        """Return the run that a command names, as `run_history` finds it.

        Raises:
            UsageError: there is no such run.
        """
        return await self._database.read(lambda raw: named_run(raw, self._database.path, name))

    async def retry_target(self, run_id: str = "", flow_id: str = "") -> RetryTarget:
        """Return the run that is named as in `run_history`; without a name the last that did not succeed.

        With `flow_id`, the last of that flow.

        Raises:
            UsageError: there is no such run.
        """
        path = self._database.path
        found = await self._database.read(lambda raw: _retry_target(raw, path, run_id, flow_id))
        if found is None:
            raise _no_target(path, flow_id)
        return found

    async def locks(self) -> list[LockRow]:
        """Return the locks that are held, the oldest first."""
        return await self._database.read(lambda raw: rows.list_locks(raw, self._clock.now()))

    async def pools(self) -> list[PoolRow]:
        """Return the pools with the holders of their slots and their queues."""
        return await self._database.read(lambda raw: list_pools(raw, self._clock.now()))

    async def planned_resume(self, plan: Plan, request: RunRequest) -> ResumePlan | None:
        """Return how a request would resume its run, for `run --dry-run`; None if the run is new.

        Raises:
            UsageError: the request does not fit the flow, or its results would be stale and it refuses that.
        """
        from aetherflow.engine.resume import plan_resume  # noqa: PLC0415 - most queries do not need it
        from aetherflow.runs.run_request import selected_jobs  # noqa: PLC0415 - as above
        from aetherflow.runs.stored_run import stored_run  # noqa: PLC0415 - as above

        stored = await stored_run(self._database, request.run_id)
        if stored.is_new:
            return None
        selected = selected_jobs(plan, request)
        return plan_resume(plan, stored.state, request.rerun_names, only=request.only, selected=selected)

    async def marks(self, flow_id: str = "") -> list[MarkRow]:
        """Return the high-water marks, of one flow if given."""
        return await self._database.read(lambda raw: list_marks(raw, flow_id=flow_id))

    async def mark(self, name: str, flow_id: str = "") -> MarkHistory:
        """Return a mark with the runs that used it.

        Raises:
            UsageError: there is no such mark, or several flows have one of this name.
        """
        return await self._database.read(lambda raw: mark_history(raw, self._database.path, name, flow_id))

    async def backfills(self) -> list[BackfillStatus]:
        """Return the backfills, the oldest first."""
        from aetherflow.server.backfill_status import all_backfills  # noqa: PLC0415 - as below

        return await self._database.read(lambda raw: all_backfills(raw, self._clock.now()))

    async def schedulers(self, asked: AskedFile | None = None) -> list[SchedulerStatus]:
        """Return servers and items of a scheduler file; without one, of all that are served.

        Raises:
            AetherFlowError: the file is wrong, and no server has it in force.
        """
        from aetherflow.server.scheduler_status import status_of  # noqa: PLC0415 - most queries do not need it

        return await self._database.read(lambda raw: status_of(raw, asked, self._clock.now()))

    async def in_force(self, asked: AskedFile) -> list[InForce]:
        """Return what is in force of a scheduler file.

        Raises:
            AetherFlowError: the file is wrong, and no server has it in force.
        """
        from aetherflow.server.in_force import in_force, served_files  # noqa: PLC0415 - as above

        return await self._database.read(
            lambda raw: list(in_force(served_files(raw, self._clock.now()), asked).values())
        )

    async def run_seconds(self, schedule: Schedule) -> dict[str, list[float]]:
        """Return for each item how many seconds its newest successful runs took."""
        return await self._database.read(
            lambda raw: {name: run_seconds(raw, schedule.id, name) for name in schedule.items}
        )

    async def pauses(self, schedule: Schedule) -> list[Pause]:
        """Return the pauses of a schedule; also those that ended within a day."""
        return await self._database.read(lambda raw: read_pauses(raw, schedule.id))

    async def schedule_history(
        self,
        asked: AskedFile | None,
        name: str,
        period: Callable[[ZoneInfo | None], tuple[datetime | None, ...]],
        outcomes: Collection[str],
        limit: int,
    ) -> list[HistoryEntry]:
        """Return what became of the ticks of an item, or of all, in a period, which depends on its zone.

        Raises:
            UsageError: there is no such item.
        """
        from aetherflow.admin.item_history import history_of  # noqa: PLC0415 - most queries do not need it
        from aetherflow.admin.scheduled_items import known_items_of, named_item  # noqa: PLC0415 - as above

        def read(raw: sqlite3.Connection) -> list[HistoryEntry]:
            now = self._clock.now()
            items = known_items_of(raw, asked, now)
            items = [named_item(items, name)] if name else items
            since, until = period(ZoneInfo(items[0].zone) if name and items[0].item else None)
            return history_of(raw, items, since, until, outcomes, limit, now)

        return await self._database.read(read)

    async def explain_tick(self, asked: AskedFile | None, name: str, time: str) -> list[TickExplanation]:
        """Return what became of a time of an item, or of each tick of a day.

        Raises:
            UsageError: there is no such item, or it is no time.
        """
        from aetherflow.admin.explain_tick import explain_item  # noqa: PLC0415 - most queries do not need it
        from aetherflow.admin.scheduled_items import known_items_of, named_item  # noqa: PLC0415 - as above

        def read(raw: sqlite3.Connection) -> list[TickExplanation]:
            now = self._clock.now()
            known = named_item(known_items_of(raw, asked, now), name)
            return explain_item(raw, known, time, self._database.path, now)

        return await self._database.read(read)

    async def newest_time(self) -> datetime | None:
        """Return the latest time at which one of the newest hundred runs started or ended."""
        return await self._database.read(rows.newest_time)

    def step_logs(self, run_id: str) -> list[Path]:
        """Return the log files of the steps of a run, in the order in which they started. Blocking."""
        folder = logs_beside(self._database.path) / folder_name(run_id)
        return sorted(folder.rglob("*.log"), key=lambda file: file.stat().st_mtime_ns)


@asynccontextmanager
async def open_queries(path: Path) -> AsyncIterator[StateQueries]:
    """Open a state database for reading, even if it cannot be written.

    Raises:
        StateUnusable: the database cannot be opened.
    """
    database = await Database.open_to_look(path)
    try:
        yield StateQueries(database)
    finally:
        await database.aclose()


def _retry_target(raw: sqlite3.Connection, path: Path, name: str, flow_id: str) -> RetryTarget | None:
    run = named_run(raw, path, name) if name else last_unfinished_run(raw, flow_id)
    if run is None:
        return None
    starts = rows.beginnings_of(raw, run.run_id)[::-1]
    whole = (event for event in starts if not (isinstance(event, RunResumed) and event.only))
    flow_job = next((event.selected_job for event in whole), "")
    for event in starts:
        if event.flow_file:
            return RetryTarget(run.run_id, event.flow_file, event.directory, flow_job, event.bundle)
    return RetryTarget(run.run_id, run.flow_file, flow_job=flow_job)


def _no_target(path: Path, flow_id: str) -> UsageError:
    hint = f"aetherflow runs list {state_option(path)} shows what there is"
    of_flow = f" of the flow {flow_id!r}" if flow_id else ""
    return UsageError(
        f"no run{of_flow} in {path} is FAILED, CANCELLED or INTERRUPTED",
        hint=f"{hint}; name the run to retry another one",
    )
