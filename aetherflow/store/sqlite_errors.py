"""Explain SQLite's errors to the person on call: what happened to which file, and what to do.

A database is called damaged only if its check says so; nobody throws away a history because a disk failed.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from aetherflow.errors import StateError
from aetherflow.store.filesystem import FULL_BYTES, free_bytes

if TYPE_CHECKING:
    from aetherflow.store.integrity import Integrity

_DISK = "look at the system log (dmesg), the disk and its mount; what was stored is kept"

_DAMAGED = (
    "look at the system log (dmesg) first, as a failing disk looks the same; then keep a copy of it and its "
    "-wal, and restore it from a backup, or move both away to start with an empty one"
)

_DENIED = "check the permissions of the file and of its folder"

_OPENING = (
    "check that the path is a file, that this user may enter and write its folder, and that not too many "
    "files are open (ulimit -n)"
)

_EXPLANATIONS = {
    sqlite3.SQLITE_IOERR: ("the disk reported an error", _DISK),
    sqlite3.SQLITE_READONLY: ("it cannot be written", _DENIED),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _OPENING),
    sqlite3.SQLITE_PERM: ("access was denied", _DENIED),
    sqlite3.SQLITE_PROTOCOL: (
        "its locks do not work, or are never free",
        "try again; keep the file on a local disk",
    ),
}
"""By SQLite's primary code: what happened, and what to do."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has the lock; the next try may succeed."""
    return _primary(error) == sqlite3.SQLITE_BUSY


def is_of_the_content(error: sqlite3.Error) -> bool:
    """Whether SQLite could read a file, but not make sense of it."""
    return _primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or (
        _extended(error) == sqlite3.SQLITE_IOERR_SHORT_READ
    )


def placed(path: Path, error: StateError) -> StateError:
    """Return the error with the name of its file."""
    return type(error)(f"{path}: {error.message}", hint=error.hint, code=error.code)


def explained(path: Path, error: sqlite3.Error, kind: type[StateError]) -> StateError:
    """Return what an error of SQLite means. Blocking: it may check the database, or look at its disk."""
    if is_of_the_content(error):
        from aetherflow.store.integrity import check_integrity  # noqa: PLC0415 - hardly any process needs it

        what, hint = explain_integrity(check_integrity(path))
    else:
        what, hint = _of_the_system(path, error)
    name = getattr(error, "sqlite_errorname", None)
    reported = f"{error}, {name}" if name and _extended(error) != _primary(error) else str(error)
    if not what:
        return kind(f"the state database {path} cannot be used: {reported}")
    return kind(f"the state database {path} cannot be used: {what} ({reported})", hint=hint)


def explain_integrity(found: Integrity) -> tuple[str, str]:
    """Return what happened and what to do when SQLite cannot make sense of what it read."""
    match found.verdict:
        case "foreign":
            return "it is no SQLite database", "give flow.state.path another file; this one was left as it is"
        case "damaged":
            return f"it is damaged, PRAGMA integrity_check says: {found.detail}", _DAMAGED
        case "sound":
            return (
                "what was read made no sense, but PRAGMA integrity_check finds it sound",
                f"{_DISK}; try again",
            )
        case "unreadable":
            return "the disk reported an error when it was read", f"{_DISK}; try again when the disk is well"
        case "unknown":
            what = f"what was read made no sense, and it is unknown whether it is damaged: {found.detail}"
            return what, f"{_DISK}, unless a check says otherwise: end what uses it, then aetherflow doctor"


def _of_the_system(path: Path, error: sqlite3.Error) -> tuple[str, str]:
    """Return what happened and what to do when the system refused something; empty if unknown."""
    if _primary(error) == sqlite3.SQLITE_FULL:
        return "the disk is full", f"make room on that disk{_free_space(path)}; what was stored is kept"
    if _extended(error) == sqlite3.SQLITE_IOERR_SHMSIZE:
        # the index of the log, which the first one to open the database makes
        hint = (
            f"make room on that disk{_free_space(path)}, or look at the system log; what was stored is kept"
        )
        return "the disk reported an error, or is full", hint
    refused = _primary(error) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    if refused and is_mounted_read_only(path):
        hint = "mount it for writing; a disk that fails is mounted read-only: look at the system log (dmesg)"
        return "its file system is mounted read-only", f"{hint}; what was stored is kept"
    return _EXPLANATIONS.get(_primary(error), ("", ""))


def is_mounted_read_only(path: Path) -> bool:
    """Whether the file system of a file, or of its folder, is mounted read-only."""
    for place in (path, path.parent):
        try:
            return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
        except OSError:
            continue
    return False


def no_room_for_index(path: Path, kind: type[StateError]) -> StateError:
    """Return the error of a database whose index does not fit on its disk."""
    return kind(
        f"the state database {path} cannot be used: the disk is full, its index has no room there",
        hint=f"make room on that disk{_free_space(path)}; what was stored is kept",
    )


def _free_space(path: Path) -> str:
    free = free_bytes(path)
    if free is None:
        return ""
    limits = "" if free < FULL_BYTES else "; so look at quotas and limits of file sizes (ulimit -f) too"
    return f" (the disk of {path.parent} has {free // 1024:,} KiB free{limits})"


def _primary(error: sqlite3.Error) -> int:
    return _extended(error) & 0xFF


def _extended(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", None) or 0


def locked(path: Path, waited: float, holders: str, kind: type[StateError]) -> StateError:
    """Return the error about a database that another process kept locked for too long."""
    who = f": {holders}" if holders else ""
    return kind(
        f"the state database {path} cannot be used: another process has kept it locked for more than "
        f"{waited:g} s{who}",
        hint="end the process that holds it, or find out who has the file open (fuser, lsof), and try again",
    )
