"""Protocols of the scheduler: the runner of firings, and the sources that create firings."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec

from aetherflow.schedule.item import Item
from aetherflow.scheduler.firing_decision import DecidedFirings
from aetherflow.store.firings import Firing

FiringOutcome = Literal["SUCCESS", "FAILED", "CANCELLED", "SKIPPED", "POSTPONED", "TAKEN_OVER", "LEFT"]


class FiringEnd(msgspec.Struct, frozen=True):
    """The outcome of a submitted firing.

    Attributes:
        outcome: how its run ended; or SKIPPED: it cannot start and is not tried again, POSTPONED: it waits,
            TAKEN_OVER: another server has it now, LEFT: another server may take it and resume its run.
        reason: why, for people.
    """

    outcome: FiringOutcome
    reason: str = ""


class FiringRunner(Protocol):
    """Executes the runs of firings."""

    async def submit(
        self, item: Item, firing: Firing, on_end: Callable[[FiringEnd], Awaitable[None]], *, is_recovery: bool
    ) -> None:
        """Take a firing's run; call `on_end` once, when it is over or cannot start.

        Raises:
            AetherFlowError: it cannot be taken now.
        """
        ...

    async def cancel(self, run_id: str, reason: str) -> bool:
        """Stop a run; False if it is not here."""
        ...


class FiringSink(Protocol):
    """Takes firings from a source."""

    async def fire(
        self, decide: Callable[[sqlite3.Connection], Sequence[DecidedFirings]]
    ) -> Sequence[DecidedFirings]:
        """Let `decide` insert firings in one transaction, report them, and start those that may start.

        Raises:
            StateError: the database cannot be used; nothing was decided.
            StandsBy: the clock of the server is off; nothing was decided.
        """
        ...


class FiringSource(Protocol):
    """Makes firings, for example from a timetable, a person's request, or an event."""

    async def fire_next(self, sink: FiringSink) -> object:
        """Wait for the next occasion to fire, and hand its firings to the sink.

        The scheduler calls it again and again, also after a StateError or StandsBy: what could not be decided
        must come again. What it returns is for other callers, who know the source.

        Raises:
            StateError: the database cannot be used.
            StandsBy: the clock of the server is off.
        """
        ...
