"""Decide in the state database only while the clock of this server agrees with those of others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Literal, TypeVar

from aetherflow.scheduler.server_clocks import ServerClocks, StandsBy
from aetherflow.store.database import Database
from aetherflow.store.firings import release_unstarted

T = TypeVar("T")
Change = Literal["compares", "stands_by", "decides_again"]


class Standby:
    """Whether a server decides; without clocks to compare it always does.

    Attributes:
        was_off: whether `change` returned that it stands by; the caller clears it when it decides again.
    """

    def __init__(self, server: str, database: Database, clocks: ServerClocks | None) -> None:
        self._server = server
        self._database = database
        self._clocks = clocks
        self.was_off = False
        self._compared = False

    def why(self) -> str:
        """Return why this server decides nothing; empty if it decides."""
        return self._clocks.standby() if self._clocks else ""

    async def decide(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do a work in one transaction.

        Raises:
            StandsBy: the server stands by, perhaps only since the transaction began; nothing is stored.
            StateError: the database could not be used.
        """

        def unless_standby(raw: sqlite3.Connection) -> T:
            self._check()
            return work(raw)

        self._check()  # it need not wait for the database
        return await self._database.transact(unless_standby)

    async def change(self) -> Change | None:
        """Return a change that was not returned before; a server whose clock is off starts nothing more.

        Raises:
            StateError: the database could not be used; the next call returns the change.
        """
        why = self.why()
        if why and self._clocks and self._clocks.is_off and not self.was_off:
            await self._database.transact(lambda raw: release_unstarted(raw, self._server))
            self.was_off = True
            return "stands_by"
        if why and not self.was_off and not self._compared:
            self._compared = True
            return "compares"
        self._compared = bool(why)
        return "decides_again" if self.was_off and not why else None

    def _check(self) -> None:
        if why := self.why():
            raise StandsBy(why)
