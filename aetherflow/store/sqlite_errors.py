"""Explain SQLite's errors to the person on call: what happened to which file, and what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from aetherflow.errors import StateError

_EXPLANATIONS = {
    "SQLITE_FULL": ("the disk is full", "make room on that disk; what was stored is kept"),
    "SQLITE_IOERR_SHMSIZE": (  # of the index of the log, which the first one to open the database makes
        "the disk reported an error, or is full",
        "make room on that disk, or look at the system log; what was stored is kept",
    ),
    "SQLITE_IOERR": ("the disk reported an error", "look at the system log; what was stored is kept"),
    "SQLITE_READONLY": ("it cannot be written", "check the permissions of the file and of its folder"),
    "SQLITE_CANTOPEN": (
        "it cannot be opened",
        "check that the path is a file, and that this user may enter and write its folder",
    ),
    "SQLITE_NOTADB": (
        "it is no SQLite database",
        "give flow.state.path another file; this one was left as it is",
    ),
    "SQLITE_CORRUPT": (
        "it is damaged",
        "restore it from a backup, or move it away to start with an empty one",
    ),
    "SQLITE_PERM": ("access was denied", "check the permissions of the file and of its folder"),
}


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has the lock; the next try may succeed."""
    return (getattr(error, "sqlite_errorname", None) or "").startswith("SQLITE_BUSY")


def is_of_the_content(error: sqlite3.Error) -> bool:
    """Whether SQLite could read a file, but not make sense of it."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return (
        primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        or error.sqlite_errorcode == sqlite3.SQLITE_IOERR_SHORT_READ
    )


def placed(path: Path, error: StateError) -> StateError:
    """Return the error with the name of its file."""
    return type(error)(f"{path}: {error.message}", hint=error.hint, code=error.code)


def explained(path: Path, error: sqlite3.Error, kind: type[StateError]) -> StateError:
    """Return what an error of SQLite means."""
    name = getattr(error, "sqlite_errorname", None) or ""
    for prefix, (what, hint) in _EXPLANATIONS.items():
        if name.startswith(prefix):
            return kind(f"the state database {path} cannot be used: {what} ({error})", hint=hint)
    return kind(f"the state database {path} cannot be used: {error}")


def locked(path: Path, waited: float, holders: str, kind: type[StateError]) -> StateError:
    """Return the error about a database that another process kept locked for too long."""
    who = f": {holders}" if holders else ""
    return kind(
        f"the state database {path} cannot be used: another process has kept it locked for more than "
        f"{waited:g} s{who}",
        hint="end the process that holds it, or find out who has the file open (fuser, lsof), and try again",
    )
