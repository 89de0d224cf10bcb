"""Between scheduler and runner: a firing becomes a ticket, and what became of the ticket ends the firing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import HeldByAnother
from aetherflow.runs.execute_run import ClaimPrecondition
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_host import Load
from aetherflow.runs.run_paths import run_paths_of
from aetherflow.runs.run_pool import SERVER_STOPS, RunPool
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus
from aetherflow.schedule.item import Item
from aetherflow.scheduler.scheduler import Scheduler
from aetherflow.store.database import Database
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.firings import Firing, begin_firing, recorded_end

if TYPE_CHECKING:
    from aetherflow.runs.bundle_in_use import OpenBundle

TAKEN = "AF210"
"""Another server has the firing now."""


class _Parts(msgspec.Struct, frozen=True, eq=False):
    database: Database
    states: DatabasePool
    run_pool: RunPool
    scheduler: Scheduler


class FiringRuns:
    """The runs of a scheduler's firings: `Runs` for the scheduler, the observer of the runner."""

    def __init__(self, load: Load, clock: Clock) -> None:
        self._parts: _Parts | None = None
        self._load = load
        self._clock = clock
        self._firings: dict[str, tuple[Item, Firing]] = {}
        self._state_paths: dict[str, Path] = {}

    def connect(
        self, database: Database, states: DatabasePool, run_pool: RunPool, scheduler: Scheduler
    ) -> None:
        """Take the parts that this one stands between; they need it when they are made."""
        self._parts = _Parts(database, states, run_pool, scheduler)

    @property
    def _known(self) -> _Parts:
        if self._parts is None:
            raise RuntimeError("nothing is connected yet")
        return self._parts

    async def submit(self, item: Item, firing: Firing, *, is_recovery: bool) -> None:
        """Give a firing's run to the runner.

        Raises:
            RunnerFull: it takes no more.
        """
        run_id = firing.run_id or ""
        self._firings[run_id] = (item, firing)
        try:
            await self._known.run_pool.submit(ticket_of(item, firing, is_recovery=is_recovery))
        except BaseException:
            del self._firings[run_id]
            raise

    async def cancel(self, run_id: str, reason: str) -> bool:
        """End a run, or withdraw it."""
        return await self._known.run_pool.cancel(run_id, reason)

    def load(
        self, ticket: RunTicket, process_env: Mapping[str, str], bundle: OpenBundle | None
    ) -> CheckedFlow:
        """Load the flow of a ticket, and note where its state is, in case that its end must be looked up.

        Raises:
            AetherFlowError: the flow or its environment is wrong.
        """
        checked = self._load(ticket, process_env, bundle)
        if ticket.run_id in self._firings:
            self._state_paths[ticket.run_id] = run_paths_of(checked, ticket.params).state
        return checked

    def guard(self, ticket: RunTicket) -> ClaimPrecondition | None:
        """Return what must hold when the run of a firing is claimed: that the firing still is ours."""
        found = self._firings.get(ticket.run_id)
        return (
            None if found is None else ClaimPrecondition(self._known.database, partial(self._begin, found[1]))
        )

    def _begin(self, firing: Firing, raw: sqlite3.Connection) -> None:
        if not begin_firing(raw, firing.firing_id, self._known.scheduler.server, self._clock.now()):
            raise HeldByAnother(
                f"the firing of {firing.item_id} at {firing.scheduled_at} is not this server's any more",
                code=TAKEN,
            )

    async def on_change(
        self,
        ticket: RunTicket,
        status: TicketStatus,  # noqa: ARG002 - what became of it is in the report
        report: RunReport | Refusal | None,
    ) -> None:
        """Take note of what became of a ticket."""
        found = self._firings.get(ticket.run_id)
        if found is None or report is None:
            return
        item, firing = found
        path = self._state_paths.pop(ticket.run_id, None)
        del self._firings[ticket.run_id]
        if isinstance(report, Refusal):
            await self._refused(item, firing, report, path)
        elif report.status == "INTERRUPTED":
            reason = f"its state could not be kept: {report.reason}"
            await self._known.scheduler.ended(firing, "FAILED", reason)
        else:
            await self._known.scheduler.ended(firing, report.status, report.reason)

    async def _refused(self, item: Item, firing: Firing, refusal: Refusal, path: Path | None) -> None:
        scheduler = self._known.scheduler
        reason = _first_error(refusal) if refusal.diagnostics else refusal.reason
        match refusal.code:
            case str() if refusal.code == SERVER_STOPS:
                scheduler.given_up(firing)
            case "AF210":  # another server has the firing now
                scheduler.given_up(firing)
            case "AF653":
                await scheduler.ended(firing, "CANCELLED", reason)
            case "AF610" | "AF655":  # another process has the run, or it has ended
                await self._look_up(firing, refusal, path)
            case "AF620" if item.spec.overlap == "queue":  # a lock is held
                await scheduler.not_now(firing, reason)
            case "AF620":
                await scheduler.ended(firing, "SKIPPED", reason)
            case _:
                await scheduler.ended(firing, "FAILED", f"{refusal.code}: {reason}")

    async def _look_up(self, firing: Firing, refusal: Refusal, path: Path | None) -> None:
        """Take the end of a run from its own database; while another executes it, wait for that."""
        end = None
        if path is not None:
            async with self._known.states.use(path) as shared:
                end = await shared.database.read(lambda raw: recorded_end(raw, firing.run_id or ""))
        if end is None:
            await self._known.scheduler.not_now(firing, refusal.reason)
        else:
            await self._known.scheduler.ended(firing, end[0], end[1])  # type: ignore[arg-type]  # how a run ends


def ticket_of(item: Item, firing: Firing, *, is_recovery: bool = False) -> RunTicket:
    """Return what the runner is asked to do for a firing."""
    spec = item.spec
    return RunTicket(
        run_id=firing.run_id or "",
        flow_file=_as_typed(item.flow_file) if item.flow_file else Path(),
        flow_job=spec.flow_job or "",
        params=spec.params,
        bundle_manifest=item.manifest,
        allow_stale_bundle=spec.allow_stale_bundle,
        priority=firing.priority,
        scheduled_at=firing.scheduled,
        item_id=item.id,
        label=item.id,
        is_recovery=is_recovery,
    )


def _first_error(refusal: Refusal) -> str:
    """Return what is wrong with a flow, in one line: it is told at every tick."""
    errors = [finding for finding in refusal.diagnostics if finding.severity == "error"]
    first = errors[0]
    hint = f" ({first.hint})" if first.hint else ""
    more = f"; {len(errors) - 1} more: aetherflow validate {first.file}" if len(errors) > 1 else ""
    return f"{first.file}:{first.line}:{first.column}: {first.message}{hint}{more}"


def _as_typed(path: Path) -> Path:
    """Return a path relative to the working directory where it is below: so people name it."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
