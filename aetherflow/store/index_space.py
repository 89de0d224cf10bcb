"""Keep SQLite from touching an index (`-shm`) without blocks: the kernel kills the process for that.

SQLite maps the file into memory and allocates one block in each 4,096 bytes of it. If the blocks of the file
system are smaller, the others are allocated when they are touched, and on a full disk that is a SIGBUS. The
first process that opens the file empties it, so its blocks can be reserved only after that.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from aetherflow.store.filesystem import FULL_BYTES, beside, file_id, free_bytes

INDEX_BYTES = 64 * 1024
"""The index of 8,158 pages in the log; a log is copied into the database after 1,000."""

_PAGE_BYTES = 4096
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class NoRoomError(Exception):
    """There is no room for the index on the disk."""


def has_room_for_index(path: Path) -> bool:
    """Whether SQLite can make the index of a database, or can use the one that is there."""
    free = free_bytes(path)
    if free is None or free >= FULL_BYTES:
        return True
    with suppress(OSError):
        index = beside(path, "-shm").stat()
        if index.st_size >= INDEX_BYTES // 2 and index.st_blocks * 512 >= index.st_size:
            return True
    from tempfile import TemporaryFile  # noqa: PLC0415 - hardly any disk is that full

    try:
        with TemporaryFile(dir=beside(path, "-shm").parent) as trial:
            os.posix_fallocate(trial.fileno(), 0, INDEX_BYTES)
    except OSError as error:
        return error.errno not in _NO_ROOM  # SQLite reports anything else
    return True


def reserve_index(raw: sqlite3.Connection) -> None:
    """Allocate all blocks of the index of an open database, if its file system has small ones.

    SQLite's own descriptor is used: closing another one would drop all locks of this process on the file.

    Raises:
        NoRoomError: they do not fit on the disk.
    """
    index = beside(Path(raw.execute("PRAGMA database_list").fetchone()[2]), "-shm")
    if os.statvfs(index.parent).f_frsize >= _PAGE_BYTES:
        return
    raw.execute("SELECT 1 FROM sqlite_schema").fetchone()  # now SQLite has made the index
    opened = file_id(index)
    for descriptor in Path("/proc/self/fd").iterdir():
        if file_id(descriptor) == opened:
            try:
                os.posix_fallocate(int(descriptor.name), 0, INDEX_BYTES)
            except OSError as error:
                if error.errno in _NO_ROOM:
                    raise NoRoomError from error
            return
