"""Prepare a file as a state database: check its owner, set the pragmas, run the migrations (forward only).

The functions run in the thread of the connection. If another process holds the lock, they raise
LockedOutError: nothing was done, and they may be called again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from aetherflow.errors import StateUnusable
from aetherflow.store.index_space import reserve_index
from aetherflow.store.sqlite_errors import is_busy
from aetherflow.store.state_schema import APPLICATION_ID, MIGRATIONS, VERSION

T = TypeVar("T")

CHECKPOINT_PAGES = 1000
"""After how many pages the log is copied into the database; SQLite's own default, made explicit."""


class LockedOutError(Exception):
    """Another process has the lock: nothing was done, the work may be tried again."""


def begin(raw: sqlite3.Connection) -> None:
    """Begin a transaction that may write."""
    trying(lambda raw: raw.execute("BEGIN IMMEDIATE"))(raw)


def trying(work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    """Return the work with LockedOutError in place of the error that another process has the lock."""

    def tried(raw: sqlite3.Connection) -> T:
        try:
            return work(raw)
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise LockedOutError from error
            raise

    return tried


def prepare(raw: sqlite3.Connection, synchronous: str) -> None:
    """Check that the database is ours, set the pragmas and migrate it to the current version."""
    _version_in_one_snapshot(raw)
    _use_write_ahead_log(raw)
    trying(reserve_index)(raw)
    raw.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'full' else 'NORMAL'}")
    raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    raw.execute("PRAGMA foreign_keys = ON")
    _migrate(raw)


def prepare_to_read(raw: sqlite3.Connection) -> None:
    """Check that the database is ours; migrate it if it is of an older version."""
    if _version_in_one_snapshot(raw) < VERSION:
        prepare(raw, "full")


def check_log(raw: sqlite3.Connection) -> None:
    """Check that a database with a write-ahead log can be read without writing beside it.

    Raises:
        StateUnusable: the index is missing, the database is not ours or is of an older version.
    """
    try:
        raw.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            raise
        raise StateUnusable(
            "its write-ahead log cannot be read without writing beside it",
            hint="open it as a user who may write there, or open a copy of the file and its -wal",
            code="AF612",
        ) from None
    check_to_read(raw)


def check_alone(raw: sqlite3.Connection) -> None:
    """Check a database that no process uses, without its index: SQLite then keeps one in its own memory.

    Raises:
        StateUnusable: it is not ours or is of an older version.
    """
    raw.execute("PRAGMA locking_mode = EXCLUSIVE")
    check_to_read(raw)


def check_to_read(raw: sqlite3.Connection) -> None:
    """Check that the database is ours and of the current version.

    Raises:
        StateUnusable: it is not.
    """
    version = _version_in_one_snapshot(raw)
    if version < VERSION:
        raise StateUnusable(
            f"this state database has schema version {version}; it must be migrated to version "
            f"{VERSION} first, and it cannot be written",
            hint="open it once as a user who may write it, or open a copy",
            code="AF612",
        )


def _version_in_one_snapshot(raw: sqlite3.Connection) -> int:
    trying(lambda raw: raw.execute("BEGIN"))(raw)  # another process may be creating it right now
    try:
        return trying(_version)(raw)
    finally:
        if raw.in_transaction:  # a full disk has rolled back already; its error passes
            raw.execute("ROLLBACK")


def _version(raw: sqlite3.Connection) -> int:
    """Return the version of the schema, 0 if the database is new.

    Raises:
        StateUnusable: it is not ours, or from a newer version.
    """
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
    """Switch the write-ahead log on. SQLite does not wait for a process that does the same: try again."""
    mode = trying(lambda raw: _pragma(raw, "journal_mode = WAL"))(raw)
    if mode != "wal":
        raise StateUnusable(
            f"a write-ahead log cannot be kept there (the journal mode is {mode})",
            hint="give flow.state.path a file on a local disk",
        )


def _migrate(raw: sqlite3.Connection) -> None:
    """Run the missing migrations, under the write lock, so that two processes do not both do it.

    If none is missing, the version is written and rolled back nevertheless: this shows whether the file can
    be written.
    """
    begin(raw)
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
    """Split a script into statements; `executescript` would commit the open transaction first."""
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
