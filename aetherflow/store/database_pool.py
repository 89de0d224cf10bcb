"""Share open state databases in this process: one connection and one writer for each file."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio

from aetherflow.clock import Clock, SystemClock
from aetherflow.file_access import FileAccess
from aetherflow.store.database import Database
from aetherflow.store.journal import Journal

if TYPE_CHECKING:
    from aetherflow.store.pool_table import PoolTable

Synchronous = Literal["full", "normal"]


class SharedDatabase:
    """An open state database with its journal and its pools, shared by the runs of this process."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.journal = Journal(database)

    @cached_property
    def pools(self) -> PoolTable:
        """The pools of the database."""
        from aetherflow.store.pool_table import PoolTable  # noqa: PLC0415 - most runs need none

        return PoolTable(self.database)


class _Shared:
    """A database with the number of its users."""

    def __init__(self) -> None:
        self.users = 0
        self.opening = anyio.Lock()
        self.state: SharedDatabase | None = None
        self.synchronous: Synchronous = "normal"


class DatabasePool:
    """Opens a database for its first user and closes it after the last."""

    def __init__(self, pool_sizes: Mapping[str, int] | None = None, clock: Clock | None = None) -> None:
        """Every database that is opened gets pools of these sizes."""
        self._shared: dict[Path, _Shared] = {}
        self._pool_sizes = pool_sizes or {}
        self._clock = clock or SystemClock()

    @property
    def paths(self) -> list[Path]:
        """The databases that are open."""
        return list(self._shared)

    def hurry(self, seconds: float) -> None:
        """From now on wait at most this long for the transactions of other processes."""
        for shared in self._shared.values():
            if shared.state is not None:
                shared.state.database.hurry(seconds)

    @asynccontextmanager
    async def use(
        self, path: Path, synchronous: Synchronous = "full", access: FileAccess = "private"
    ) -> AsyncIterator[SharedDatabase]:
        """Use the database in the block; it is written as the most careful of its users asked.

        A database that does not exist is made, with the access.

        Raises:
            StateUnusable: the path cannot be opened or written, is on a network file system, or is another
                database.
        """
        real = _real(path)
        shared = self._shared.setdefault(real, _Shared())
        shared.users += 1
        try:
            yield await self._open_shared(shared, path, synchronous, access)
        finally:
            shared.users -= 1
            if not shared.users:
                del self._shared[real]
                if shared.state is not None:
                    await shared.state.database.aclose()

    async def _open_shared(
        self, shared: _Shared, path: Path, synchronous: Synchronous, access: FileAccess
    ) -> SharedDatabase:
        async with shared.opening:
            if shared.state is None:
                database = await Database.open(path, synchronous, access)
                await self._size_pools(database)
                shared.state = SharedDatabase(database)
                shared.synchronous = synchronous
            elif synchronous == "full" and shared.synchronous == "normal":
                await shared.state.database.write_fully()
                shared.synchronous = "full"
            return shared.state

    async def _size_pools(self, database: Database) -> None:
        from aetherflow.store.pools import set_pool  # noqa: PLC0415 - only a server has sizes

        def work(raw: sqlite3.Connection) -> None:
            for name, slots in self._pool_sizes.items():
                set_pool(raw, name, slots, self._clock.now())

        if self._pool_sizes:
            try:
                await database.transact(work)
            except BaseException:
                await database.aclose()
                raise


def _real(path: Path) -> Path:
    """Return the path without links: two names of one file are one database."""
    return path.resolve()
