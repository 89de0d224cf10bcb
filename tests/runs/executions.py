"""Executions that a test steers, and an observer that keeps what it receives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from aetherflow.runs.ports import ClaimPrecondition
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_pool import RunPool
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus


def ticket(run_id: str, **more: Any) -> RunTicket:
    """Return a ticket of a flow that is never read."""
    return RunTicket(run_id=run_id, flow_file=Path("flow.yaml"), **more)


class Seen:
    """Keeps every change."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, TicketStatus]] = []
        self.reports: dict[str, RunReport | Refusal] = {}
        self.changed = anyio.Event()

    async def on_change(
        self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
    ) -> None:
        """Keep it."""
        self.changes.append((ticket.run_id, status))
        if report is not None:
            self.reports[ticket.run_id] = report
        self.changed.set()
        self.changed = anyio.Event()

    async def until(self, run_id: str, status: TicketStatus) -> None:
        """Wait until a ticket has come to this status."""
        with anyio.fail_after(60):
            while (run_id, status) not in self.changes:
                await self.changed.wait()

    def of(self, run_id: str) -> list[TicketStatus]:
        """Return what happened to one ticket."""
        return [status for name, status in self.changes if name == run_id]


class Executions:
    """Executes by waiting until the test lets a run end, or it is cancelled, or (if it resists) forced."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.at_once = 0
        self.most = 0
        self.raises: dict[str, BaseException] = {}
        self.fails_after_start: dict[str, BaseException] = {}
        self.resisting: set[str] = set()
        self.preconditions: dict[str, ClaimPrecondition | None] = {}
        self._gates: dict[str, anyio.Event] = {}

    def gate(self, run_id: str) -> anyio.Event:
        """Return what a run waits for."""
        return self._gates.setdefault(run_id, anyio.Event())

    async def __call__(
        self,
        ticket: RunTicket,
        control: RunControl,
        started: Callable[[], Awaitable[None]],
        precondition: ClaimPrecondition | None = None,
    ) -> RunReport:
        """Be a run."""
        self.preconditions[ticket.run_id] = precondition
        run_id = ticket.run_id
        if run_id in self.raises:
            raise self.raises[run_id]
        self.began.append(run_id)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await started()
            if run_id in self.fails_after_start:
                raise self.fails_after_start[run_id]
            return await self._wait(run_id, control)
        finally:
            self.at_once -= 1

    async def _wait(self, run_id: str, control: RunControl) -> RunReport:
        stopped = control.forced if run_id in self.resisting else control.cancelled
        async with anyio.create_task_group() as tasks:

            async def first(wait: Callable[[], Awaitable[Any]]) -> None:
                await wait()
                tasks.cancel_scope.cancel()

            tasks.start_soon(first, stopped)
            tasks.start_soon(first, self.gate(run_id).wait)
        if self.gate(run_id).is_set():
            return RunReport(run_id, "SUCCESS", 0)
        return RunReport(run_id, "CANCELLED", 143, reason=control.reason)


@asynccontextmanager
async def running(run_pool: RunPool) -> AsyncIterator[None]:
    """Let a runner run during the block, then end it by force."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run_pool.run)
        with anyio.fail_after(60):
            yield
            run_pool.force()
