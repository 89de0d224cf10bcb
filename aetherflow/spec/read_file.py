"""Read a file that a user names, without waiting for ever on a pipe or a device."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from aetherflow.working_directory import absolute

_INHERITED = "/proc/"
"""Where the real name of a pipe begins that the shell has opened for us: `validate <(generate)`."""


def read_file(path: Path, limit: int) -> bytes:
    """Return the content of a file; of one that is larger than `limit`, one byte more than that.

    Raises:
        OSError: it cannot be read, or is a named pipe that may never get data.
    """
    path = absolute(path)
    refuse_named_pipe(path)
    with path.open("rb") as stream:
        return stream.read(limit + 1)


def refuse_named_pipe(path: Path) -> None:
    """Refuse a pipe of which nobody knows whether another program opens it too.

    Raises:
        OSError: it is one, or cannot be looked at.
    """
    if stat.S_ISFIFO(path.stat().st_mode) and not os.path.realpath(path).startswith(_INHERITED):
        raise OSError(errno.EINVAL, "it is a named pipe, not a file")
