"""From a file to a database of the current version: whose it is, its pragmas, its migrations (forward only).

The functions work in the connection's thread. What the lock of another process keeps them from raises
LockedOutError: nothing was done, and they may be called again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from aetherflow.errors import StateUnusable
from aetherflow.store.sqlite_errors import is_busy
from aetherflow.store.state_schema import APPLICATION_ID, MIGRATIONS, VERSION

T = TypeVar("T")

CHECKPOINT_PAGES = 1000
"""After how many pages the log is copied into the database; SQLite's own default, kept explicit."""


class LockedOutError(Exception):
    """Another process has the lock: nothing was done, the work may be tried again."""


def begin(raw: sqlite3.Connection) -> None:
    """Begin a transaction that may write."""
    trying(lambda raw: raw.execute("BEGIN IMMEDIATE"))(raw)


def trying(work: Callable[[sqlite3.Connection], T]) -> Callable[[sqlite3.Connection], T]:
    """Return work that may be tried again when another process has the lock."""

    def tried(raw: sqlite3.Connection) -> T:
        try:
            return work(raw)
        except sqlite3.OperationalError as error:
            if is_busy(error):
                raise LockedOutError from error
            raise

    return tried


def prepare(raw: sqlite3.Connection, synchronous: str) -> None:
    """Look whether it is ours, set the pragmas and bring the schema to the current version."""
    _version_in_one_look(raw)
    _use_write_ahead_log(raw)
    raw.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'full' else 'NORMAL'}")
    raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    raw.execute("PRAGMA foreign_keys = ON")
    _migrate(raw)


def prepare_to_look(raw: sqlite3.Connection) -> None:
    """Look whether it is ours; bring the schema to the current version where that is missing."""
    if _version_in_one_look(raw) < VERSION:
        prepare(raw, "full")


def check_log(raw: sqlite3.Connection) -> None:
    """Look whether a log, which only whoever writes has an index for, can be read; then as without one.

    Raises:
        StateUnusable: the index is missing, or the database is of an older version.
    """
    try:
        raw.execute("SELECT 1 FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CANTOPEN:
            raise
        raise StateUnusable(
            "its write-ahead log cannot be read without writing beside it",
            hint="look at it as somebody who may write there, or at a copy of the file and its -wal",
            code="AF612",
        ) from None
    check_to_look(raw)


def check_to_look(raw: sqlite3.Connection) -> None:
    """Look whether it is ours and can be understood as it is.

    Raises:
        StateUnusable: it is of an older version.
    """
    version = _version_in_one_look(raw)
    if version < VERSION:
        raise StateUnusable(
            f"this state database has schema version {version}; it must be brought to version "
            f"{VERSION} first, and it cannot be written",
            hint="look at it once as somebody who may write it, or look at a copy",
            code="AF612",
        )


def _version_in_one_look(raw: sqlite3.Connection) -> int:
    trying(lambda raw: raw.execute("BEGIN"))(raw)  # one snapshot: another process may be making it right now
    try:
        return trying(_version)(raw)
    finally:
        if raw.in_transaction:  # what failed for want of room has rolled back already, and is what to tell
            raw.execute("ROLLBACK")


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
    """Switch the log on; SQLite does not wait for a process that is doing the same, it is tried again."""
    mode = trying(lambda raw: _pragma(raw, "journal_mode = WAL"))(raw)
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
