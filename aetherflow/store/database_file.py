"""Notice that the file of an open state database is no longer at its path, or that another file is there.

SQLite writes to the files that it has opened, wherever they are now. Other processes look at the path. If the
two differ, what is stored here is not found there, and another process may execute the same run.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from aetherflow.errors import StateMoved
from aetherflow.store.filesystem import FileId, beside, file_id
from aetherflow.store.migrate import LockedOutError
from aetherflow.working_directory import absolute

T = TypeVar("T")


class _Place(NamedTuple):
    """Where a file must stay: the database, its write-ahead log (`-wal`) or the index of that (`-shm`)."""

    part: Literal["database", "log", "index"]
    file: str
    opened: FileId | None


class DatabaseFile:
    """The files that SQLite has open for one database; used in the thread of its connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: tuple[_Place, ...] = ()
        self._moved: StateMoved | None = None

    def watch(self, opened: FileId | None) -> None:
        """Check from now on; the database is open in WAL mode, and `opened` is the id of its main file.

        Raises:
            StateMoved: a file is not at its place.
        """
        log, index = str(beside(self.path, "-wal")), str(beside(self.path, "-shm"))
        self._places = (
            _Place("database", str(absolute(self.path)), opened or file_id(self.path)),
            _Place("log", log, file_id(log)),
            _Place("index", index, file_id(index)),
        )
        self.check()

    def check(self) -> None:
        """Check that each file is at its place, with one system call for each.

        Raises:
            StateMoved: one is not, or was not before: meanwhile another process may have used the path.
        """
        if self._moved is not None:
            raise StateMoved(self._moved.message, hint=self._moved.hint)
        for place in self._places:
            try:
                found = os.stat(place.file)  # noqa: PTH116 - at every commit, and a Path costs twice as much
            except (FileNotFoundError, NotADirectoryError):
                raise self._missed(place, is_replaced=False) from None
            except OSError:
                continue  # who may not look cannot open another file there either
            if (found.st_dev, found.st_ino) != place.opened:
                raise self._missed(place, is_replaced=True)

    def checked(self, work: Callable[[sqlite3.Connection], T], raw: sqlite3.Connection) -> T:
        """Do the work, and return its result if all files are at their places after it.

        If one is not, another process may disturb the shared index: then an error of SQLite has no meaning.

        Raises:
            StateMoved: a file is not at its place.
        """
        was_there = self._moved is None
        try:
            try:
                result = work(raw)
            except (sqlite3.Error, LockedOutError):
                self.check()
                raise
            self.check()
        except StateMoved as error:
            if was_there and self._save_log(raw):
                self._moved = StateMoved(
                    error.message, hint="nothing more is written; what was stored is in the database itself"
                )
                raise self._moved from None
            raise
        return result

    def _save_log(self, raw: sqlite3.Connection) -> bool:
        """Copy the log into the database if only the log was deleted, and nobody has begun a new one.

        SQLite still has the deleted file open. Returns whether the database now holds all that was stored.
        """
        main, log, index = self._places
        if file_id(main.file) != main.opened or file_id(index.file) != index.opened:
            return False
        try:
            if Path(log.file).stat().st_size > 0:
                return False
        except FileNotFoundError:
            pass
        except OSError:
            return False
        try:
            _busy, frames, copied = raw.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        return bool(frames == copied)

    def _missed(self, place: _Place, *, is_replaced: bool) -> StateMoved:
        what = "replaced by another file" if is_replaced else "moved or deleted"
        if place.part == "database":
            subject = f"the state database {self.path}"
            hint = "put the file back, with the -wal that belongs to it"
            hint += ", in place of the one that is there now" if is_replaced else ""
        else:
            subject = f"the {place.part} of the state database {self.path} ({place.file})"
            hint = "the newest commits may be lost; leave the files beside a database alone while it is used"
        self._moved = StateMoved(
            f"{subject} was {what} while this process used it: others do not see what this process stores",
            hint=f"nothing more is written; {hint}",
        )
        return self._moved
