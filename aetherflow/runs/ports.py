"""Protocols of the run pool: the executor of a ticket, its observer, and a precondition of its start."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from aetherflow.observe.time_order import TimeOrder
from aetherflow.ports import Observer, WhenFull
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket, TicketStatus
from aetherflow.store.database import Database


class ObserverSpec(msgspec.Struct, frozen=True):
    """How to make the observer of one run, its name, and what happens when it is too slow.

    Observers of many runs share what they write to (a `Sink`), never what they remember of a run.

    Attributes:
        when_full: wait for the observer, wait at most a moment (for a reader), or drop events.
        reopen: opens the file of the observers again, which a log rotation has renamed; raises a UsageError.
        order: in which the observers write; a server runs it, and its own observer closes it.
        early: makes what shows notices of the time before the run has begun; None: they wait for the run.
    """

    name: str
    make: Callable[[], Observer]
    when_full: WhenFull = "drop"
    reopen: Callable[[], Awaitable[None]] | None = None
    order: TimeOrder | None = None
    early: Callable[[], Observer] | None = None


class ClaimPrecondition(msgspec.Struct, frozen=True, eq=False):
    """What must hold when a run is claimed: else `check` raises, in a transaction on `database`.

    If the run is in the same database, that transaction also claims the run; else it follows right after.
    """

    database: Database
    check: Callable[[sqlite3.Connection], None]


class TicketObserver(Protocol):
    """Called at every change of a ticket, in order; its exceptions do not harm the run."""

    async def on_change(
        self, ticket: RunTicket, status: TicketStatus, report: RunReport | Refusal | None
    ) -> None:
        """Note a change: `report` is a RunReport when the run ended and a Refusal when it was refused."""
        ...


class Execute(Protocol):
    """Executes the run of a ticket to its end."""

    async def __call__(
        self,
        ticket: RunTicket,
        control: RunControl,
        started: Callable[[], Awaitable[None]],
        precondition: ClaimPrecondition | None = None,
    ) -> RunReport | Refusal:
        """Load the flow and run it; call `started` once the first event of the run is durable.

        Raises:
            AetherFlowError: the run could not be started (it is refused), or its state could not be stored.
        """
        ...
