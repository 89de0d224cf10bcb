"""File functions for plugins: write a file atomically, compute checksums, list a folder, limit reading.

The functions that touch files block: call them in a worker thread. May import `errors`,
`file_access` and `file_selection` only.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from aetherflow.errors import StepError
from aetherflow.file_access import FileAccess, file_mode, make_folder, open_file, set_mode

if TYPE_CHECKING:
    from aetherflow.sdk.file_selection import FileEntry

BLOCK_BYTES = 2**20
"""The size of one read; large blocks are several times faster over a network."""

Way = Literal["replace", "new", "folder"]
"""How a name is given: in the place of another file, only if it is free, or to a folder.

A folder that it replaces is aside for a moment, and is deleted if AetherFlow made it.
"""

Publisher = Callable[[str, str, Way], bool]
"""Gives a complete file, named first, its final name; see `sdk.publishing.publish`."""

publisher: ContextVar[Publisher | None] = ContextVar("publisher", default=None)
"""Who gives files their final names; None: this process, at once.

On a worker of a cluster an attempt may have been given up without knowing it, while another one writes the
same file. So its publisher asks the engine, which decides.
"""


@contextmanager
def atomic_write(
    path: Path,
    *,
    fsync: bool = True,
    access: FileAccess | None = None,
    owner: str = "",
    by: Publisher | None = None,
) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` when the block ends without an error.

    A reader never sees half a file: the old content stays until the new one is complete. The temporary file
    is removed when the block raises. An OSError without a file name, such as a full disk, gets the name of
    `path`. A file that is replaced passes its mode on, and a link is followed. A folder, a device such as
    /dev/null and a pipe are not replaced, but an OSError.

    Args:
        path: the file; its folder is created if it does not exist.
        fsync: whether to flush the content to disk before the rename. Without it a power loss may leave an
            empty file.
        access: who may read a new file and the folders that are made for it; None: as the umask says.
        owner: who writes, in any words; see `remove_incomplete`.
        by: gives the file its name; by default the publisher of the context, if there is one.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    _check_replaceable(path)
    make_folder(path.parent, access)
    temporary = path.with_name(temporary_name(path.name, owner))
    try:
        yield temporary
        if (mode := _mode_of(path, access)) is not None:
            set_mode(temporary, mode)
        if fsync:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        if (publishes := by or publisher.get()) is None:
            temporary.replace(path)
        else:
            publishes(str(temporary), str(path), "replace")
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> StepError:
    """Return the error (AF735) for a file that could not be written.

    It names the file that the system names, such as a folder above, but never the temporary one of `path`.
    """
    named = Path(str(error.filename or path))
    is_temporary = named.name.startswith(f".{path.name[:40]}.") and named.suffix == ".part"
    return StepError(
        f"cannot write {path if is_temporary else named}: {error.strerror or error}",
        hint="make room, correct the permissions, or move away what is in its place",
        code="AF735",
    )


def write_whole(path: Path, content: bytes, access: FileAccess) -> None:
    """Replace a file atomically by this content; a new one gets the access, also while it is written.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_write(path, access=access) as temporary, open_file(temporary, "xb", access) as file:
        file.write(content)


def _check_replaceable(path: Path) -> None:
    """Check that a file can take the place of what a path names; the user root could replace /dev/null.

    Raises:
        OSError: it is a folder, a device, a pipe or a socket.
    """
    try:
        mode = path.stat().st_mode
    except OSError:  # nothing is there, or the write reports why it cannot be reached
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def _mode_of(path: Path, access: FileAccess | None) -> int | None:
    """Return the mode of the file that is replaced, or of a new one; None: as the umask says."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None if access is None else file_mode(access)


def temporary_name(name: str, owner: str = "") -> str:
    """Return a random name for an incomplete file, to be renamed to `name` in the same folder.

    With an owner the name shows whose file it is, so that `remove_incomplete` finds it.
    """
    return f".{name[:40]}.{_mark(owner)}{os.urandom(4).hex()}.part"


def remove_incomplete(path: Path, owner: str) -> list[Path]:
    """Remove the temporary files of `path` that `owner` left when its process was killed; return them.

    Call it only when no write of this owner to `path` is in progress.

    Raises:
        OSError: the folder cannot be read, or a file cannot be removed.
    """
    ours = re.compile(rf"\.{re.escape(path.name[:40])}\.{_mark(owner)}[0-9a-f]{{8}}\.part")
    beside = path.parent.iterdir() if path.parent.exists() else ()
    found = [file for file in beside if ours.fullmatch(file.name)]
    for file in found:
        file.unlink(missing_ok=True)
    return found


def _mark(owner: str) -> str:
    """Return eight digits that are the same for the same owner; empty without one."""
    return hashlib.sha256(owner.encode()).hexdigest()[:8] if owner else ""


class ChecksumFile:
    """Wraps a binary file and computes checksum and size while it is written or read.

    Attributes:
        size: how many bytes were written or read so far.
    """

    def __init__(self, file: BinaryIO, algorithm: str = "sha256") -> None:
        self._file = file
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write all of the bytes, even if the file accepts only a part of them at a time."""
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            self._take(view[:written])
            view = view[written:]
        return len(data)

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Read up to `size` bytes; empty bytes mean the end."""
        data = self._file.read(size)
        self._take(data)
        return data

    def hexdigest(self) -> str:
        """Return the checksum of the bytes written or read so far."""
        return self._hash.hexdigest()

    def _take(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self.size += len(data)


def sync_file_system(folder: Path) -> None:
    """Make all that was written to the file system of a folder durable: one call instead of one per file.

    Raises:
        OSError: the disk cannot store it.
    """
    import ctypes  # noqa: PLC0415 - few runs need it

    system = ctypes.CDLL(None, use_errno=True)
    if (syncfs := getattr(system, "syncfs", None)) is None:  # not Linux
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    finally:
        os.close(descriptor)


def checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def list_files(folder: Path, *, recursive: bool = False) -> Iterator[FileEntry]:
    """Yield the files of a folder, without folders and in no order; links to folders are not followed.

    Raises:
        OSError: the folder cannot be read.
    """
    from aetherflow.sdk.file_selection import FileEntry  # noqa: PLC0415 - few steps list files

    with os.scandir(folder) as found:
        for item in found:
            if item.is_dir(follow_symlinks=False):
                if recursive:
                    for entry in list_files(Path(item.path), recursive=True):
                        yield msgspec.structs.replace(entry, path=f"{item.name}/{entry.path}")
            elif item.is_file():
                status = item.stat()
                modified = datetime.fromtimestamp(status.st_mtime, UTC)
                yield FileEntry(item.name, status.st_size, modified)


class ReadLimit:
    """Counts the files and bytes that are really read, and raises an error above the limits.

    Sizes in a listing or a header may be wrong, so only this protects against a too large archive.

    Args:
        what: the subject of the error message, such as `the archive a.zip`.
        max_files: how many files may be read.
        max_bytes: how many bytes may be read, of all files together.
        hint: what to do about the error, such as which input raises the limit.

    Attributes:
        files: how many files were counted.
        bytes: how many bytes were counted.
    """

    def __init__(
        self, what: str, *, max_files: int | None = None, max_bytes: int | None = None, hint: str = ""
    ) -> None:
        self._what = what
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._hint = hint
        self.files = 0
        self.bytes = 0

    def add_file(self) -> None:
        """Count a file.

        Raises:
            StepError: there are more than `max_files` (AF722).
        """
        self.files += 1
        if self._max_files is not None and self.files > self._max_files:
            raise self._too_much(f"more than {self._max_files:,} files")

    def add_bytes(self, count: int) -> None:
        """Count bytes.

        Raises:
            StepError: there are more than `max_bytes` (AF722).
        """
        self.bytes += count
        if self._max_bytes is not None and self.bytes > self._max_bytes:
            raise self._too_much(f"more than {self._max_bytes:,} bytes")

    def blocks(self, file: BinaryIO, size: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Yield the content of a file block by block, counted.

        Raises:
            StepError: a limit is exceeded (AF722); the block that exceeds it is not yielded.
        """
        self.add_file()
        while data := file.read(size):
            self.add_bytes(len(data))
            yield data

    def _too_much(self, found: str) -> StepError:
        return StepError(f"{self._what} holds {found}", hint=self._hint, code="AF722")
