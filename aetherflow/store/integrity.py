"""Check whether a state database is damaged, through a fresh connection that only reads.

An error alone does not say so: a disk that fails, or a process that uses a log which is no longer there,
makes a whole database look damaged. Blocking.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Literal

import msgspec

from aetherflow.store.looking import uri_to_look, way_to_look
from aetherflow.store.sqlite_lock_owner import others_use_index

CHECK_SECONDS = 10.0
"""How long the check of a database may take: a large one takes minutes."""

_STEPS = 10_000
"""After how many instructions of SQLite the time is looked at."""


class Integrity(msgspec.Struct, frozen=True):
    """What SQLite's own check found out; `detail` is the first problem, or why there was no check."""

    verdict: Literal["sound", "damaged", "foreign", "unreadable", "unknown"]
    detail: str = ""


def check_integrity(path: Path, seconds: float = CHECK_SECONDS) -> Integrity:
    """Check a database for so many seconds; what is not finished then is unknown."""
    deadline = time.monotonic() + seconds
    way = way_to_look(path)
    try:
        raw = sqlite3.connect(uri_to_look(path, way), timeout=1, isolation_level=None, uri=True)
        with closing(raw):
            if way == "alone":
                raw.execute("PRAGMA locking_mode = EXCLUSIVE")
            found = _check(raw, deadline)
    except sqlite3.Error as error:
        return _unfinished(error)
    if found.verdict == "damaged" and others_use_index(path):
        return Integrity(
            "unknown", f"{found.detail}; but other processes use the database, so this may be wrong"
        )
    return found


def _check(raw: sqlite3.Connection, deadline: float) -> Integrity:
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    for check in ("quick_check", "integrity_check"):  # the second also compares the indexes
        try:
            (found,) = raw.execute(f"PRAGMA {check}(1)").fetchone()
        except sqlite3.DatabaseError as error:
            match error.sqlite_errorcode & 0xFF:
                case sqlite3.SQLITE_CORRUPT:
                    return Integrity("damaged", str(error))
                case sqlite3.SQLITE_NOTADB:
                    return Integrity("foreign", str(error))
            raise
        if found != "ok":
            return Integrity("damaged", " ".join(found.split()))
    return Integrity("sound")


def _unfinished(error: sqlite3.Error) -> Integrity:
    if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
        return Integrity("unknown", "the check takes too long")
    is_of_the_disk = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR
    return Integrity("unreadable" if is_of_the_disk else "unknown", f"{error}, {error.sqlite_errorname}")
