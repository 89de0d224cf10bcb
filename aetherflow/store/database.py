"""Open a state database: one SQLite connection in aiosqlite's thread, each transaction one call to it.

`synchronous=FULL` in WAL mode makes a committed transaction survive a power loss; NORMAL survives the death
of the process but may lose the last transactions with the power (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, Self, TypeVar

import anyio

from aetherflow.errors import StateError, StateMoved, StateUnusable
from aetherflow.file_access import FileAccess, make_folder
from aetherflow.store.connection_thread import ConnectionThread
from aetherflow.store.database_file import DatabaseFile
from aetherflow.store.filesystem import file_id, refuse_network, refuse_no_file
from aetherflow.store.index_space import NoRoomError, has_room_for_index
from aetherflow.store.looking import uri_to_look, way_to_look
from aetherflow.store.migrate import (
    LockedOutError,
    begin,
    check_alone,
    check_log,
    check_to_read,
    prepare,
    prepare_to_read,
    trying,
)
from aetherflow.store.new_database import make_database_file
from aetherflow.store.sqlite_errors import explained, is_of_the_content, locked, no_room_for_index, placed
from aetherflow.store.sqlite_lock_owner import others_use_index, who_locks
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("state databases", 16)

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a transaction waits for another process's."""

SHIELD_SECONDS = BUSY_SECONDS + 10.0
"""How long a cancellation may be held off for a transaction, which reports by itself who locks the file."""

SLICE_SECONDS = 0.25
"""How long SQLite itself waits; between such slices the waiting can be cancelled."""

PAUSE_SECONDS = 0.01
"""How long to wait before the next try, when SQLite does not wait by itself."""

DISTURBED_SECONDS = 3.0
"""How long to wait for a process that uses a database or a log that is no longer there: it will notice."""


class _DisturbedError(Exception):
    """SQLite cannot read the database, but another process has the index open, maybe for another database."""

    def __init__(self, reason: sqlite3.Error) -> None:
        super().__init__(reason)
        self.reason = reason


def _undisturbed(path: Path, work: Callable[[sqlite3.Connection], T], raw: sqlite3.Connection) -> T:
    was_used = others_use_index(path)
    try:
        return work(raw)
    except sqlite3.Error as error:
        if is_of_the_content(error) and (was_used or others_use_index(path)):
            raise _DisturbedError(error) from None
        raise


_CHECKS = {"immutable": check_to_read, "indexed": check_log, "alone": check_alone}


class Database:
    """One open state database."""

    def __init__(self, path: Path, connection: ConnectionThread) -> None:
        self.path = path
        self._connection = connection
        self._patience = BUSY_SECONDS
        self._file = DatabaseFile(path)

    @classmethod
    async def open(
        cls, path: Path, synchronous: Literal["full", "normal"] = "full", access: FileAccess = "private"
    ) -> Self:
        """Open the database, made or brought to the current version where needed.

        A new file gets the access; SQLite gives its mode to the log and the index beside it.

        Raises:
            StateUnusable: the path cannot be opened or written, is on a network file system, or is another
                database.
        """
        refuse_no_file(path)
        try:
            make_folder(path.parent, access)
            refuse_network(path)
        except OSError as error:
            raise StateUnusable(
                f"cannot make the folder of the state database {path}: {error.strerror or error}",
                hint="set flow.state.path or AETHERFLOW_STATE_ROOT to a place that can be written",
            ) from None
        except StateUnusable as error:
            raise placed(path, error) from None
        first_look = partial(_undisturbed, path, partial(prepare, synchronous=synchronous))
        deadline = anyio.current_time() + DISTURBED_SECONDS
        while True:
            make_database_file(path, access)
            try:
                return await cls._connect(path, str(path), first_look, is_watched=True)
            except StateMoved:  # just now; or a layered file system has copied it for its first writer
                if anyio.current_time() > deadline:
                    raise
            except _DisturbedError as error:
                if anyio.current_time() > deadline:
                    raise await _threads.run(explained, path, error.reason, StateUnusable) from None
            await anyio.sleep(SLICE_SECONDS)

    @classmethod
    async def open_to_look(cls, path: Path) -> Self:
        """Open an existing database for reading, even if it is not writable.

        Raises:
            StateUnusable: it cannot be read; or not without writing: it is of an older version, or has a log.
        """
        refuse_no_file(path)
        way = way_to_look(path)
        if way == "shared":
            return await cls._connect(path, str(path), prepare_to_read)
        return await cls._connect(path, uri_to_look(path, way), _CHECKS[way])

    @classmethod
    async def _connect(
        cls,
        path: Path,
        target: str,
        prepare: Callable[[sqlite3.Connection], None],
        *,
        is_watched: bool = False,
    ) -> Self:
        opened = file_id(path)
        if is_watched and not has_room_for_index(path):
            raise no_room_for_index(path, StateUnusable)
        connection = ConnectionThread(
            lambda: sqlite3.connect(
                target, timeout=SLICE_SECONDS, isolation_level=None, uri=target.startswith("file:")
            ),
            iter_chunk_size=64,
        )
        database = cls(path, connection)
        try:
            with anyio.CancelScope(shield=True):
                await connection
            await database._patiently(prepare, StateUnusable)
            if is_watched:
                await connection.call(lambda _raw: database._file.watch(opened))
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await connection.end(database._file.check)
            if isinstance(error, NoRoomError):
                raise no_room_for_index(path, StateUnusable) from None
            if isinstance(error, sqlite3.Error):
                raise await _threads.run(explained, path, error, StateUnusable) from None
            raise
        return database

    def hurry(self, seconds: float) -> None:
        """Wait no longer than so many seconds for another process's transaction, from now on."""
        self._patience = min(self._patience, seconds)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in one transaction and commit it; roll back if it raises.

        Waiting for another process's transaction can be cancelled. What has begun is shielded: cancelling an
        awaited statement would not undo it, so its outcome is always awaited.

        Raises:
            StateMoved: the file is no longer at its path. Nothing was stored; or it was stored at the moment
                when the file went away, and must not be acknowledged.
            StateError: the database could not do it.
        """

        def whole(raw: sqlite3.Connection) -> T:
            begin(raw)
            try:
                result = work(raw)
                self._file.check()  # at the last moment before something is written
                raw.execute("COMMIT")
            except BaseException:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                raise
            return result

        return await self._patiently(whole, StateError)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work that only reads, without beginning a transaction.

        Raises:
            StateError: the database could not be read.
        """
        return await self._patiently(trying(work), StateError)

    async def write_fully(self) -> None:
        """Make every commit from now on survive a power loss.

        Raises:
            StateError: the database cannot be used.
        """
        await self.read(lambda raw: raw.execute("PRAGMA synchronous = FULL"))

    async def aclose(self) -> None:
        """Close the connection; the last one to close folds the write-ahead log into the file."""
        with anyio.CancelScope(shield=True):
            await self._connection.close_after(self._file.check)

    async def _patiently(self, work: Callable[[sqlite3.Connection], T], kind: type[StateError]) -> T:
        """Do the work, again and again while another process has the lock, for so long as patience lasts."""
        began = anyio.current_time()
        done: list[T] = []
        while not done:
            try:
                with anyio.CancelScope(shield=True):
                    done.append(await self._connection.call(partial(self._file.checked, work)))
            except LockedOutError:
                if anyio.current_time() - began >= (patience := min(self._patience, BUSY_SECONDS)):
                    holders = await _threads.run(who_locks, self.path)
                    raise locked(self.path, patience, holders, kind) from None
                await anyio.sleep(PAUSE_SECONDS)
            except sqlite3.Error as error:
                raise await _threads.run(explained, self.path, error, kind) from None
            except StateMoved:
                raise
            except StateError as error:
                raise placed(self.path, error) from None
        return done[0]
