"""Make the file of a new state database, unless there are files beside it that SQLite would delete.

SQLite takes the log (`-wal`) or journal (`-journal`) of a database that is gone for its own, and deletes it.
The log of a process that was killed holds the newest transactions of the database that it belongs to.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from aetherflow.errors import StateUnusable
from aetherflow.file_access import FileAccess, make_file


def make_database_file(path: Path, access: FileAccess) -> None:
    """Make an empty file with this access, unless the database exists; SQLite reports why it cannot be made.

    Raises:
        StateUnusable: there is no database, but a log or journal of one.
    """
    real = Path(os.path.realpath(path))
    if os.path.lexists(real):
        return
    for left in (real.with_name(f"{real.name}-wal"), real.with_name(f"{real.name}-journal")):
        with suppress(OSError):
            # looked at in this order: another process may make the database meanwhile
            if left.stat().st_size and not os.path.lexists(real):
                raise StateUnusable(
                    f"{path} does not exist, but {left.name} is there, with content of a database that was "
                    "moved or deleted",
                    hint="put the database back beside it, or move that file to another place",
                )
    with suppress(OSError):
        make_file(path, access)
