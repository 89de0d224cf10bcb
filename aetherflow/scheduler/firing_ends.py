"""Store the ends of the firings of a server; what the database does not take is stored by a later check."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Literal, Protocol

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.events.schedule_events import ScheduleEvent
from aetherflow.scheduler.firing_events import ended_event
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, close_firing, find_firing

Ended = Literal["SUCCESS", "FAILED", "CANCELLED", "SKIPPED"]


class Notice(Protocol):
    """Reports a sentence about the scheduler as a whole."""

    def __call__(
        self, message: str, code: str = "", level: Literal["info", "warning", "error"] = "error"
    ) -> None:
        """Report it."""
        ...


class FiringEnds:
    """The ends of the firings of a server."""

    def __init__(
        self,
        database: Database,
        server: str,
        clock: Clock,
        report: Callable[[ScheduleEvent], None],
        notice: Notice,
    ) -> None:
        self._database = database
        self._server = server
        self._clock = clock
        self._report = report
        self._notice = notice
        self._unstored: list[tuple[Firing, Ended, str]] = []

    async def end(self, firing: Firing, outcome: Ended, reason: str) -> None:
        """Store an end and report it; if the database does not take it, `store_late` stores it."""
        try:
            await self._store(firing, outcome, reason)
        except StateError as error:
            self._unstored.append((firing, outcome, reason))
            self._notice(f"the end of run {firing.run_id} is not stored yet: {error.message}", error.code)

    async def store_late(self) -> None:
        """Store the ends that the database did not take.

        Raises:
            StateError: the database could not be used.
        """
        while self._unstored:
            await self._store(*self._unstored[0])
            del self._unstored[0]

    async def _store(self, firing: Firing, outcome: Ended, reason: str) -> None:
        """Close a firing and report its outcome, unless another server has taken it over."""
        now = self._clock.now()

        def close(raw: sqlite3.Connection) -> Firing | None:
            close_firing(raw, firing.firing_id, self._server, outcome, reason, now)
            return find_firing(raw, firing.firing_id)

        stored = await self._database.transact(close)
        if stored is not None and stored.server == self._server:
            self._report(ended_event(stored, now))
        elif stored is not None:
            why = f": {reason}" if reason else ""
            self._notice(
                f"run {firing.run_id} of item {firing.item_id} ended here {outcome}{why}; what "
                "counts is what another server says, which has taken it over",
                level="warning",
            )
