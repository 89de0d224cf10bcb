"""Create a firing that a person requests, with a sink for processes without a scheduler."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

from aetherflow.schedule.item import Item
from aetherflow.scheduler.firing_decision import DecidedFirings, FiringDecider
from aetherflow.scheduler.ports import FiringSink
from aetherflow.scheduler.requested_tick import NO_PARAMS, held
from aetherflow.store.database import Database
from aetherflow.store.firings import Firing, close_firing, find_firing


class ManualSource:
    """Fires an item by request, independently of its timetable."""

    def __init__(
        self,
        decider: FiringDecider,
        item: Item,
        *,
        may_wait: bool,
        at: datetime | None = None,
        params: str = NO_PARAMS,
    ) -> None:
        """Prepare to fire the item, now or for a time that has passed.

        Without `may_wait`, a firing that would have to wait is skipped.
        """
        self._decider = decider
        self._at = at
        self._params = params
        self._item = item
        self._may_wait = may_wait

    async def fire_next(self, sink: FiringSink) -> Firing:
        """Fire the item, and return its firing.

        Raises:
            StateError: the database cannot be used.
            TickTaken: the firing of the time has succeeded, or is open.
        """
        (decided,) = await sink.fire(self._decide)
        return decided.firings[0]

    def _decide(self, raw: sqlite3.Connection) -> list[DecidedFirings]:
        firing, now = self._fire(raw), self._decider.now()
        if firing.outcome == "WAITING" and not self._may_wait:
            close_firing(raw, firing.firing_id, firing.server, "SKIPPED", firing.reason, now)
            firing = find_firing(raw, firing.firing_id) or firing
        return [DecidedFirings(self._item, now, [firing])]

    def _fire(self, raw: sqlite3.Connection) -> Firing:
        firing = self._decider.fire(raw, self._item, self._at, self._params)
        if self._at is not None and firing.outcome == "WAITING" and not self._may_wait:
            raise held(self._item, firing.reason)  # what the row was stays
        return firing


class StoredFirings:
    """A sink that only stores firings: a server takes them up."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fire(
        self, decide: Callable[[sqlite3.Connection], Sequence[DecidedFirings]]
    ) -> Sequence[DecidedFirings]:
        """Let `decide` insert firings in one transaction.

        Raises:
            StateError: the database cannot be used; nothing was decided.
        """
        return await self._database.transact(decide)
