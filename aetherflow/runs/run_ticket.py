"""What is asked of the runner, how it is told what became of it, and how a run is stopped from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import anyio
import msgspec

from aetherflow.errors import Diagnostic

TicketStatus = Literal["queued", "started", "ended", "refused"]


class RunTicket(msgspec.Struct, frozen=True, kw_only=True):
    """A run that somebody wants.

    Attributes:
        run_id: of the run; one that exists already goes on where it stopped.
        flow_file: read when the run begins, so that edits count for the next one.
        flow_job: the one job to run, with what it needs.
        bundle_manifest: the bundle that the flow belongs to.
        allow_stale_bundle: whether the last good copy of the bundle will do.
        priority: higher goes first; of equals, who came first.
        scheduled_at: the instant that the run stands for (`run.scheduled_at`); else when it starts.
        item_id: the schedule item, for whoever is told.
        label: what a list of runs shows beside the run id.
        state: the state database in which the run was found; else the flow says where it is.
        is_recovery: a server died with this run; it goes on as `on_crash` of its flow says.
    """

    run_id: str
    flow_file: Path
    flow_job: str = ""
    params: dict[str, Any] = {}
    bundle_manifest: Path | None = None
    allow_stale_bundle: bool = False
    priority: int = 0
    scheduled_at: datetime | None = None
    item_id: str = ""
    label: str = ""
    state: Path | None = None
    is_recovery: bool = False


class RunReport(msgspec.Struct, frozen=True):
    """How a run ended; INTERRUPTED if its state could not be kept, or the program had a bug.

    Attributes:
        detached: observers that did not watch to the end, by name, and why.
        reason: why, where the status does not say it all.
        code: of the error behind it.
    """

    run_id: str
    status: Literal["SUCCESS", "FAILED", "CANCELLED", "INTERRUPTED"]
    exit_code: int
    detached: dict[str, str] = {}
    reason: str = ""
    code: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """Why a ticket did not become a run: the flow is wrong, somebody else has the run, it was withdrawn.

    Attributes:
        diagnostics: what is wrong with the flow file, warnings too.
    """

    run_id: str
    reason: str
    code: str = ""
    hint: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


class TicketObserver(Protocol):
    """Is told of every change of every ticket, in order for each ticket; what it raises hurts no run."""

    async def on_change(
        self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
    ) -> None:
        """Take note: `report` is a RunReport when it ended and a Refusal when it was refused."""
        ...


class RunControl:
    """The wish, from outside, that a run stops: politely, then by force.

    Attributes:
        reason: why it shall stop; empty while it may go on.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._forces = 0
        self._cancelled = anyio.Event()
        self._forced = anyio.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether the run shall end."""
        return self._cancelled.is_set()

    def cancel(self, reason: str) -> None:
        """Ask the run to end; the first reason counts."""
        if not self.is_cancelled:
            self.reason = reason
            self._cancelled.set()

    def force(self) -> None:
        """Kill what resists just now; may be called again."""
        self._forces += 1
        self._forced.set()
        self._forced = anyio.Event()

    async def cancelled(self) -> str:
        """Wait until the run shall end, and return why."""
        await self._cancelled.wait()
        return self.reason

    async def forced(self, times: int = 1) -> None:
        """Wait until `force` was called that often."""
        while self._forces < times:
            await self._forced.wait()


class Execute(Protocol):
    """Executes a run to its end; the composition root brings it."""

    async def __call__(
        self, ticket: RunTicket, control: RunControl, started: Callable[[], Awaitable[None]]
    ) -> RunReport | Refusal:
        """Load the flow and run it; call `started` once the beginning of the run is durable.

        Raises:
            AetherFlowError: the run could not be begun (it is refused), or its state not be kept.
        """
        ...
