"""The one room that opens SQLite: a connection in aiosqlite's thread, whole transactions in one hop.

`synchronous=FULL` in WAL mode makes a committed transaction survive a power loss; NORMAL survives the death
of the process but may lose the last transactions with the power (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import aiosqlite
import anyio
import anyio.to_thread

from aetherflow.errors import StateError, StateUnusable
from aetherflow.store.filesystem import refuse_network
from aetherflow.store.schema import APPLICATION_ID, MIGRATIONS, VERSION

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a statement waits for another process's transaction."""

SWITCH_SECONDS = 0.01
"""How long to wait for another process that makes the same database, before the next try."""

CHECKPOINT_PAGES = 1000
"""After how many pages the log is copied into the database; SQLite's own default, kept explicit."""


class _Connection(aiosqlite.Connection):
    """aiosqlite's connection with one more call: a whole function in its thread, in one hop.

    Each hop between the loop and the thread costs about as much as a commit; a transaction of five
    statements would spend most of its time on them.
    """

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # has no annotations
        return result

    async def end(self) -> None:
        """Close, and wait for the thread: one that outlives its loop cannot report and prints a traceback."""
        await self.close()
        await anyio.to_thread.run_sync(self._thread.join)


class Database:
    """One open state database."""

    def __init__(self, path: Path, connection: _Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    async def open(cls, path: Path, synchronous: Literal["full", "normal"] = "full") -> Self:
        """Open the database, made or brought to the current version where needed.

        Raises:
            StateUnusable: the path cannot be opened or written, is on a network, is no database or not ours.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            refuse_network(path)
        except OSError as error:
            raise StateUnusable(
                f"cannot make the folder of the state database {path}: {error.strerror or error}",
                hint="set flow.state.path or AETHERFLOW_STATE_ROOT to a place that can be written",
            ) from None
        except StateUnusable as error:
            raise _placed(path, error) from None
        connection = _Connection(
            lambda: sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None), iter_chunk_size=64
        )
        try:
            with anyio.CancelScope(shield=True):
                await connection
                await connection.call(lambda raw: _prepare(raw, synchronous))
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await connection.end()
            if isinstance(error, sqlite3.Error):
                raise _explained(path, error, StateUnusable) from None
            if isinstance(error, StateUnusable):
                raise _placed(path, error) from None
            raise
        return cls(path, connection)

    async def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in one transaction and commit it; nothing of it is stored if it raises.

        Shielded: cancelling an awaited statement would not undo it, so the outcome is always awaited.

        Raises:
            StateError: the database could not do it.
        """

        def whole(raw: sqlite3.Connection) -> T:
            raw.execute("BEGIN IMMEDIATE")
            try:
                result = work(raw)
                raw.execute("COMMIT")
            except BaseException:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                raise
            return result

        return await self._call(whole)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work that only reads, outside of any transaction of its own.

        Raises:
            StateError: the database could not be read.
        """
        return await self._call(work)

    async def write_fully(self) -> None:
        """Make every commit from now on survive a power loss.

        Raises:
            StateError: the database cannot be used.
        """
        await self._call(lambda raw: raw.execute("PRAGMA synchronous = FULL"))

    async def aclose(self) -> None:
        """Close the connection; the last one to close folds the write-ahead log into the file."""
        with anyio.CancelScope(shield=True):
            await self._connection.close()

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        done: list[T] = []
        try:
            with anyio.CancelScope(shield=True):
                done.append(await self._connection.call(work))
        except sqlite3.Error as error:
            raise _explained(self.path, error, StateError) from None
        except StateError as error:
            raise _placed(self.path, error) from None
        return done[0]


def _prepare(raw: sqlite3.Connection, synchronous: str) -> None:
    """Look whether it is ours, set the pragmas and bring the schema to the current version."""
    raw.execute("BEGIN")  # one snapshot: another process may be making the database right now
    try:
        _version(raw)
    finally:
        raw.execute("ROLLBACK")
    _use_write_ahead_log(raw)
    raw.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'full' else 'NORMAL'}")
    raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    raw.execute("PRAGMA foreign_keys = ON")
    _migrate(raw)


def _version(raw: sqlite3.Connection) -> int:
    """Return the version of the schema, 0 if the database is new; refuse one that is not for us."""
    application = _pragma(raw, "application_id")
    version: int = _pragma(raw, "user_version")
    tables = raw.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application != APPLICATION_ID and (application or version or tables):
        raise StateUnusable(
            "this is a SQLite database, but not one of AetherFlow's",
            hint="give flow.state.path a file of its own",
            code="AF602",
        )
    if version > VERSION:
        raise StateUnusable(
            f"this state database has schema version {version}, newer than this AetherFlow knows ({VERSION})",
            hint="run it with the newer AetherFlow, or use another state file",
            code="AF603",
        )
    return version


def _use_write_ahead_log(raw: sqlite3.Connection) -> None:
    """Switch the log on; SQLite does not wait for a process that is doing the same, so this does."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = _pragma(raw, "journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(SWITCH_SECONDS)
        else:
            break
    if mode != "wal":
        raise StateUnusable(
            f"a write-ahead log cannot be kept there (the journal mode is {mode})",
            hint="give flow.state.path a file on a local disk",
        )


def _migrate(raw: sqlite3.Connection) -> None:
    """Run what is missing, under the write lock, so that two processes do not both do it.

    A version is written, and taken back, also when nothing is missing: only that tells a file that cannot be
    written.
    """
    raw.execute("BEGIN IMMEDIATE")
    try:
        version = _version(raw)
        for number in range(version, VERSION):
            for statement in _statements(MIGRATIONS[number]):
                raw.execute(statement)
            raw.execute(
                "INSERT INTO schema_version VALUES (?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))", (number + 1,)
            )
        raw.execute(f"PRAGMA user_version = {VERSION}")
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        raw.execute("COMMIT" if version < VERSION else "ROLLBACK")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise


def _statements(script: str) -> list[str]:
    """Split a script; `executescript` would commit the open transaction first."""
    statements: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    if pending.strip():
        raise ValueError(f"a migration does not end its last statement: {pending.strip()}")
    return statements


def _pragma(raw: sqlite3.Connection, name: str) -> Any:
    return raw.execute(f"PRAGMA {name}").fetchone()[0]


_EXPLANATIONS = {
    "SQLITE_FULL": (
        "the disk is full",
        "make room, then run again with the same --run-id: what was done is kept",
    ),
    "SQLITE_IOERR": (
        "the disk reported an error",
        "look at the system log; then run again with the same --run-id",
    ),
    "SQLITE_BUSY": (
        f"another process has kept it locked for more than {BUSY_SECONDS:g} s",
        "look who has the file open (fuser, lsof); then run again",
    ),
    "SQLITE_READONLY": ("it cannot be written", "check the permissions of the file and of its folder"),
    "SQLITE_CANTOPEN": ("it cannot be opened", "check that the path is a file and its folder can be written"),
    "SQLITE_NOTADB": (
        "it is no SQLite database",
        "give flow.state.path another file; this one was left as it is",
    ),
    "SQLITE_CORRUPT": ("it is damaged", "restore it from a backup, or move it away to begin anew"),
    "SQLITE_PERM": ("access was denied", "check the permissions of the file and of its folder"),
}


def _placed(path: Path, error: StateError) -> StateError:
    """Return the error with the file it is about."""
    return type(error)(f"{path}: {error.message}", hint=error.hint, code=error.code)


def _explained(path: Path, error: sqlite3.Error, kind: type[StateError]) -> StateError:
    name = getattr(error, "sqlite_errorname", None) or ""
    for prefix, (what, hint) in _EXPLANATIONS.items():
        if name.startswith(prefix):
            return kind(f"the state database {path} cannot be used: {what} ({error})", hint=hint)
    return kind(f"the state database {path} cannot be used: {error}")
