"""Run the firings of a scheduler in a run pool: submit a ticket, and end the firing with its outcome."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from aetherflow.clock import Clock
from aetherflow.errors import FiringTaken
from aetherflow.runs.ports import ClaimPrecondition
from aetherflow.runs.run_pool import RunPool
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus
from aetherflow.schedule.item import Item
from aetherflow.schedule.item_params import needs_last_success, params_at
from aetherflow.scheduler.ports import FiringEnd
from aetherflow.store.database import Database
from aetherflow.store.database_pool import DatabasePool
from aetherflow.store.firings import Cause, Firing, begin_firing, fix_last_success, recorded_end
from aetherflow.working_directory import working_directory_name

LEFT = "its server has stopped; the next server resumes the run"


class FiringRuns(msgspec.Struct, frozen=True, eq=False):
    """The `FiringRunner` of a server: submits tickets to its run pool."""

    database: Database
    server: str
    states: DatabasePool
    run_pool: RunPool
    clock: Clock

    async def submit(
        self, item: Item, firing: Firing, on_end: Callable[[FiringEnd], Awaitable[None]], *, is_recovery: bool
    ) -> None:
        """Submit the run of a firing to the run pool.

        Raises:
            RunPoolFull: the pool takes no more.
            StateError: the last success could not be read.
        """
        last_success = None
        if needs_last_success(item):
            last_success = await self.database.transact(partial(fix_last_success, firing_id=firing.firing_id))
        await self.run_pool.submit(
            ticket_of(item, firing, is_recovery=is_recovery, last_success=last_success),
            _FiringObserver(item, firing, self.states, on_end),
            ClaimPrecondition(
                self.database, partial(claim_firing, firing=firing, server=self.server, clock=self.clock)
            ),
        )

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Cancel a run, or withdraw its ticket from the queue."""
        return await self.run_pool.cancel(run_id, reason)


def claim_firing(raw: sqlite3.Connection, firing: Firing, server: str, clock: Clock) -> None:
    """Mark a firing as started, in the transaction that claims its run.

    Raises:
        FiringTaken: another server has taken over the firing.
    """
    if not begin_firing(raw, firing.firing_id, server, clock.now()):
        raise FiringTaken(
            f"the firing of {firing.item_id} at {firing.scheduled_at} no longer belongs to this server"
        )


class _FiringObserver(msgspec.Struct, frozen=True, eq=False):
    """Ends a firing when its ticket has ended or was refused."""

    item: Item
    firing: Firing
    states: DatabasePool
    on_end: Callable[[FiringEnd], Awaitable[None]]

    async def on_change(
        self,
        ticket: RunTicket,  # noqa: ARG002 - the firing is known
        status: TicketStatus,  # noqa: ARG002 - the report has the outcome
        report: RunReport | Refusal | None,
    ) -> None:
        """End the firing when the ticket has ended."""
        match report:
            case RunReport(status="SUCCESS" | "FAILED" | "CANCELLED" as outcome):
                await self.on_end(FiringEnd(outcome, report.reason))
            case RunReport(status="LEFT"):
                await self.on_end(FiringEnd("LEFT", LEFT))
            case RunReport():
                await self.on_end(FiringEnd("FAILED", f"its state could not be stored: {report.reason}"))
            case Refusal(kind="run_in_use" | "run_ended"):
                await self.on_end(await self._recorded_end(report))
            case Refusal():
                await self.on_end(end_of_refused(report, self.item, self.firing.cause))
            case None:
                pass

    async def _recorded_end(self, refusal: Refusal) -> FiringEnd:
        """Return the outcome of a run from its database; POSTPONED while another process executes it."""
        end = None
        if refusal.state:
            async with self.states.use(Path(refusal.state)) as shared:
                end = await shared.database.read(partial(recorded_end, run_id=self.firing.run_id or ""))
        return FiringEnd("POSTPONED", refusal.reason) if end is None else FiringEnd(*end)


def end_of_refused(refusal: Refusal, item: Item, cause: Cause = "tick") -> FiringEnd:
    """Return the outcome of a firing whose ticket was refused; those of a backfill wait for a lock."""
    reason = first_error(refusal) if refusal.diagnostics else refusal.reason
    match refusal.kind:
        case "server_stopping" | "taken_over":
            return FiringEnd("TAKEN_OVER", reason)
        case "cancelled":
            return FiringEnd("CANCELLED", reason)
        case "run_in_use" | "run_ended":
            return FiringEnd("POSTPONED", reason)
        case "lock_held":
            waits = item.spec.overlap == "queue" or cause == "backfill"
            return FiringEnd("POSTPONED" if waits else "SKIPPED", reason)
        case "left_as_it_is" | "invalid_flow" | "error":
            return FiringEnd("FAILED", f"{refusal.code}: {reason}")


def ticket_of(
    item: Item, firing: Firing, *, is_recovery: bool = False, last_success: datetime | None = None
) -> RunTicket:
    """Return the ticket of a firing; params that a person gave with it win over those of the item."""
    spec = item.spec
    return RunTicket(
        run_id=firing.run_id or "",
        flow_file=as_typed(item.flow_file) if item.flow_file else Path(),
        flow_job=spec.flow_job or "",
        params=params_at(item, firing.scheduled, last_success) | json.loads(firing.params),
        params_folder=item.folder,
        bundle_manifest=item.manifest,
        allow_stale_bundle=spec.allow_stale_bundle,
        priority=firing.priority,
        scheduled_at=firing.scheduled,
        timezone=item.zone,
        item_id=item.id,
        label=item.id,
        on_stop=item.on_stop,
        item_timeout_seconds=spec.timeout_seconds,
        is_recovery=is_recovery,
        claimed_at=datetime.fromisoformat(firing.started_at) if firing.started_at else None,
    )


def first_error(refusal: Refusal) -> str:
    """Return the first error of a flow in one line, as it is reported at every tick."""
    errors = [diagnostic for diagnostic in refusal.diagnostics if diagnostic.severity == "error"]
    first = errors[0]
    hint = f" ({first.hint})" if first.hint else ""
    more = f"; {len(errors) - 1} more: aetherflow validate {first.file}" if len(errors) > 1 else ""
    return f"{first.place}: {first.message}{hint}{more}"


def as_typed(path: Path) -> Path:
    """Return a path relative to the working directory if it is below it, as a user would type it."""
    try:
        return path.relative_to(working_directory_name())
    except ValueError:
        return path
