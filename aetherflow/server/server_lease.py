"""Hold the lease of a server, which shows others that it lives and which scheduler files it serves."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Self

import msgspec

from aetherflow._version import __version__
from aetherflow.clock import Clock
from aetherflow.errors import StateError, StateMoved
from aetherflow.schedule.item import Schedule
from aetherflow.scheduler.server_clocks import BEAT_SECONDS, ServerClocks
from aetherflow.store import lease as leases
from aetherflow.store.database import Database
from aetherflow.store.process_identity import this_process
from aetherflow.store.projection import timestamp
from aetherflow.store.served_files import (
    ServedFile,
    forget_server,
    record_drain,
    record_item_problems,
    record_served_file,
)
from aetherflow.store.servers import ServerRow, forget_silent, server_rows, store_server
from aetherflow.working_directory import absolute

TTL_SECONDS = 30.0
"""How long the firings of a dead host stay with it; on the same host a dead server is seen at once."""

LOOK_SECONDS = 1.0
"""How often the server looks whether its database is still at its path."""


class ServerLease:
    """The lease of this server, renewed by a heartbeat.

    Attributes:
        clocks: how its clock compares with those of other servers.
    """

    def __init__(self, database: Database, clock: Clock, name: str) -> None:
        self.name = name
        self._database = database
        self._clock = clock
        self.clocks = ServerClocks(name, clock)
        self._started = clock.now()
        self._beats = 0
        self._stands_by = False
        self._files: dict[str, ServedFile] = {}
        self._drains_until: datetime | None = None

    @classmethod
    async def take(cls, database: Database, clock: Clock) -> Self:
        """Take a lease under a new name, and delete the leases of dead servers.

        Raises:
            StateError: the database cannot be used.
        """
        lease = cls(database, clock, f"server:{clock.new_id()}")
        await database.transact(lease._take_first)
        return lease

    def _take_first(self, raw: sqlite3.Connection) -> None:
        self.clocks.observe(server_rows(raw))
        self._take(raw)
        self._beat(raw)

    def _beat(self, raw: sqlite3.Connection) -> dict[str, ServerRow]:
        """Store what the clock shows; return what those of all servers showed."""
        forget_silent(raw, self.clocks.silent())
        self._beats += 1
        standby = self.clocks.standby()
        self._stands_by = bool(standby)
        row = ServerRow(
            self.name,
            this_process().host.partition(" ")[0],
            __version__,
            timestamp(self._started),
            timestamp(self._clock.now()),
            self._beats,
            standby,
            self.clocks.ahead_seconds(),
        )
        store_server(raw, row)
        return server_rows(raw)

    def _take(self, raw: sqlite3.Connection) -> None:
        now = self.clocks.now()
        leases.acquire(raw, self.name, this_process(), self.name, now=now, ttl_seconds=TTL_SECONDS)
        rows = raw.execute(  # by the key: LIKE would read the leases of all runs
            "SELECT name FROM leases WHERE name >= 'server:' AND name < 'server;' AND name <> ?", (self.name,)
        )
        for (name,) in rows.fetchall():
            held = leases.held(raw, name, now)
            if held is None or held.validity == "dead":
                forget_server(raw, name)

    async def keep(self) -> None:
        """Renew the lease until cancelled; a database that fails for a while is tried again.

        Raises:
            StateError: the file of the database is gone, or is another one.
        """
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            is_news = bool(self.clocks.standby()) != self._stands_by  # show others at once
            is_due = is_news or self._clock.monotonic() - renewed >= BEAT_SECONDS
            try:
                if is_due:
                    rows = await self._database.transact(self._renew)
                    renewed = self._clock.monotonic()
                else:
                    rows = await self._database.read(server_rows)  # it looks where its file is, too
                self.clocks.observe(rows)
            except StateMoved as error:
                raise _file_is_gone(error) from None
            except StateError:
                continue  # the scheduler, which needs the database too, reports it

    def _renew(self, raw: sqlite3.Connection) -> dict[str, ServerRow]:
        """Renew; if another server took this one for dead, store the lease and the files again."""
        lease = leases.Lease(self.name, 1, TTL_SECONDS)
        if leases.renew(raw, lease, self.clocks.now()):
            return self._beat(raw)
        self._take(raw)
        for scheduler, served in self._files.items():
            record_served_file(raw, scheduler, self.name, served, self._clock.now())
        if self._drains_until is not None:
            record_drain(raw, self.name, self._drains_until)
        return self._beat(raw)

    async def store_served_file(self, schedule: Schedule, problem: str = "") -> None:
        """Store that a file is served, or its current error."""
        known = self._files.get(schedule.id)
        items = known.item_problems if known is not None else {}
        served = ServedFile(str(absolute(schedule.file)), schedule.source, problem, items)
        self._files[schedule.id] = served
        now = self._clock.now()
        await self._database.transact(
            lambda raw: record_served_file(raw, schedule.id, self.name, served, now)
        )

    def item_problems(self, scheduler: str) -> Mapping[str, str]:
        """Return the items of a served file that cannot run, each with what is wrong."""
        served = self._files.get(scheduler)
        return {} if served is None else served.item_problems

    async def store_item_problems(self, scheduler: str, problems: dict[str, str]) -> None:
        """Store the items of a served file that cannot run, each with what is wrong.

        Raises:
            StateError: the database cannot be used.
        """
        self._files[scheduler] = msgspec.structs.replace(self._files[scheduler], item_problems=problems)
        await self._database.transact(lambda raw: record_item_problems(raw, scheduler, self.name, problems))

    async def store_drain(self, until: datetime) -> None:
        """Store that the server stops, and until when its runs may take.

        Raises:
            StateError: the database cannot be used.
        """
        self._drains_until = until
        await self._database.transact(lambda raw: record_drain(raw, self.name, until))

    async def give_back(self) -> None:
        """Delete everything about the server except its firings."""
        await self._database.transact(lambda raw: forget_server(raw, self.name))


def _file_is_gone(error: StateMoved) -> StateError:
    return StateError(
        f"{error.message}, and other servers do not know what it has fired",
        hint=f"{error.hint}; then start the server again",
        code="AF212",
    )
