"""Lock, read and replace a file that several processes write, and a collector reads. Blocking."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MODE = 0o644
"""The mode of a new file: the collector runs as another user. It has names of flows, and numbers."""

LOCK_SECONDS = 5.0
"""How long to wait for another run that writes the file."""

LARGEST_BYTES = 16 * 1024 * 1024
"""A larger file is none of ours."""


@contextmanager
def locked(path: Path, mode: int) -> Iterator[int]:
    """Hold the lock for a block; the system releases it when the process ends.

    Raises:
        OSError: it cannot be made, or another process holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no file", str(path))
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise OSError(0, "another process holds it", str(path)) from None
                time.sleep(0.01)
        yield descriptor
    finally:
        os.close(descriptor)


def content_of(path: Path) -> bytes | None:
    """Return what a file holds; None if there is none.

    Raises:
        OSError: it cannot be read, or is none of ours.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no file", str(path))
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OSError(0, "it is larger than any metrics file", str(path))
    return content


def replace(path: Path, content: bytes) -> None:
    """Replace a file: a reader sees the old one or the new one, whole.

    The temporary file has one name, as its writer has the lock: what a killed process left is overwritten.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mode = MODE
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, MODE), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
