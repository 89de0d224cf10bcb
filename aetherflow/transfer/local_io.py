"""Blocking calls on files of this machine: list, open, read, write, rename. Called in worker threads.

All paths are texts. May import `sdk` and `file_access` only.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Self

from aetherflow.file_access import FileAccess, opener
from aetherflow.sdk.files import temporary_name
from aetherflow.sdk.publishing import publish
from aetherflow.sdk.remote_files import RemoteEntry

ENTRIES_PER_CALL = 1000
"""How many entries of a folder are read at once."""

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
"""Opening a pipe must not wait for its other end; for files the second has no effect."""


class LocalFile:
    """An open file that may be closed while a thread that was abandoned still reads or writes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    @classmethod
    def to_read(cls, path: str, offset: int = 0) -> Self:
        """Open a file, positioned at an offset.

        Raises:
            OSError: it cannot be opened.
        """
        file = cls(os.open(path, os.O_RDONLY | _FLAGS))
        status = os.fstat(file._descriptor)
        if not stat.S_ISREG(status.st_mode):
            file.close()
            number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
            raise OSError(number, "it is no regular file", path)
        os.lseek(file._descriptor, offset, os.SEEK_SET)
        return file

    @classmethod
    def to_write(cls, path: str, offset: int = 0, access: FileAccess | None = None) -> Self:
        """Create or empty a file, or cut it at an offset to continue there; a new one gets the access.

        Raises:
            OSError: it cannot be opened.
        """
        flags = os.O_WRONLY | _FLAGS
        file = cls(opener(access)(path, flags if offset else flags | os.O_CREAT | os.O_TRUNC))
        if offset:
            os.ftruncate(file._descriptor, offset)
            os.lseek(file._descriptor, offset, os.SEEK_SET)
        return file

    def read(self, size: int) -> bytes:
        """Return the next bytes; empty bytes mean the end.

        Raises:
            OSError: it cannot be read, or is closed.
        """
        with self._lock:
            return os.read(self._descriptor, size)

    def write(self, data: bytes) -> None:
        """Write all of the bytes.

        Raises:
            OSError: it cannot be written, or is closed.
        """
        with self._lock:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]

    @property
    def is_closed(self) -> bool:
        """Whether the file is closed, so that nothing is left to do at its end."""
        return self._descriptor < 0

    def version(self) -> tuple[int, int]:
        """Return the size and the time (in nanoseconds) of the file as it is now.

        Raises:
            OSError: it cannot be looked at, or is closed.
        """
        with self._lock:
            status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def store(self) -> None:
        """Make what was written durable.

        Raises:
            OSError: it cannot be stored, or is closed.
        """
        with self._lock:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second time nothing happens.

        Raises:
            OSError: what was written could not be stored; the file is closed.
        """
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def abandon(self) -> None:
        """Close the file when its content does not matter any more."""
        try:
            self.close()
        except OSError:  # what made the transfer end is reported already
            return


class Listing:
    """An open folder, read in portions."""

    def __init__(self, path: str, contains: Callable[[str], bool]) -> None:
        self._found = os.scandir(path)
        self._entries = _entries(self._found, contains)

    def next_entries(self) -> list[RemoteEntry]:
        """Return the next entries; none mean the end.

        Raises:
            OSError: the folder cannot be read.
        """
        return list(islice(self._entries, ENTRIES_PER_CALL))

    def close(self) -> None:
        """Close the folder."""
        self._found.close()


def describe(path: str, real: str) -> RemoteEntry | None:
    """Return what is at a path, following links; None if nothing is there.

    Raises:
        OSError: it may not be looked at.
    """
    try:
        status = Path(real).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _entry(path, status, is_link=Path(real).is_symlink())


def rename_file(path: str, new: str, *, replace: bool) -> bool:
    """Rename a file, also to another disk; return False if something is at `new` and is not to be replaced.

    Raises:
        OSError: it cannot be renamed.
    """
    try:
        return publish(path, new, "replace" if replace else "new")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    return _move_to_other_disk(path, new, replace=replace)


def _move_to_other_disk(path: str, new: str, *, replace: bool) -> bool:
    """Copy a file, with its time, under a temporary name, rename that, and delete the file."""
    temporary = str(Path(new).with_name(temporary_name(Path(new).name)))
    try:
        shutil.copy2(path, temporary)
        with open(temporary, "rb") as copy:  # noqa: PTH123 - the paths of this module are texts
            os.fsync(copy.fileno())
        if not publish(temporary, new, "replace" if replace else "new"):
            return False
    finally:
        Path(temporary).unlink(missing_ok=True)
    Path(path).unlink()
    return True


def _entries(found: Iterator[os.DirEntry[str]], contains: Callable[[str], bool]) -> Iterator[RemoteEntry]:
    for item in found:
        is_link = item.is_symlink()
        try:
            status = item.stat()
        except FileNotFoundError:  # a link to nothing, or deleted since
            continue
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            continue
        if (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)) and (
            not is_link or contains(item.path)
        ):
            yield _entry(item.path, status, is_link=is_link)


def _entry(path: str, status: os.stat_result, *, is_link: bool) -> RemoteEntry:
    is_dir = stat.S_ISDIR(status.st_mode)
    size = 0 if is_dir else status.st_size
    return RemoteEntry(path, size=size, mtime=status.st_mtime, is_dir=is_dir, is_link=is_link)
