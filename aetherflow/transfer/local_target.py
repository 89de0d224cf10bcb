"""Write the files of this machine that are downloaded; blocking, for worker threads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aetherflow.errors import StepError
from aetherflow.file_access import FileAccess, make_folder
from aetherflow.sdk.files import sync_file_system
from aetherflow.sdk.remote_files import BLOCK_BYTES
from aetherflow.transfer.local_io import LocalFile, rename_file

MOST_STORED_SINGLY = 64
"""Of more files, the file system as a whole is made durable: one call instead of thousands."""


class LocalTarget:
    """The folder of this machine where files arrive.

    Args:
        folder: the folder; nothing is written outside of it.
        access: who may read what is written; None: as the umask says.
    """

    def __init__(self, folder: Path, access: FileAccess | None) -> None:
        self.folder = folder
        self._access = access
        self._made: set[str] = set()

    def prepare(self, path: str) -> None:
        """Make the folder of a file.

        Raises:
            OSError: it cannot be made.
            StepError: a link leads out of the folder where files arrive (AF313).
        """
        above = Path(path).parent
        if str(above) in self._made:
            return
        make_folder(self.folder, self._access)
        real = self.folder.resolve()
        nearest = next(one for one in (above, *above.parents) if one.exists())
        if not nearest.resolve().is_relative_to(real):
            raise StepError(
                f"{path} would leave {self.folder}: {nearest} is a link to {nearest.resolve()}",
                hint="remove the link, or name the folder it leads to as dest_dir",
                code="AF313",
            )
        make_folder(above, self._access)
        self._made.add(str(above))

    def open(self, path: str, offset: int = 0) -> LocalFile:
        """Create or empty a file, or cut it at an offset.

        Raises:
            OSError: it cannot be opened.
            StepError: see `prepare`.
        """
        self.prepare(path)
        return LocalFile.to_write(path, offset, self._access)

    def write(self, path: str, content: bytes) -> None:
        """Write a small file.

        Raises:
            OSError: it cannot be written.
            StepError: see `prepare`.
        """
        file = self.open(path)
        try:
            file.write(content)
        finally:
            file.close()

    def rename(self, temporary: str, path: str, mtime: float | None, *, replace: bool) -> bool:
        """Give a complete file its time and its name; return False if the name is in use.

        Raises:
            OSError: it cannot be renamed.
        """
        if mtime is not None:
            os.utime(temporary, (mtime, mtime))
        return rename_file(temporary, path, replace=replace)

    def store(self, paths: Sequence[str]) -> None:
        """Make files and their names durable; one that was taken away since, or is another user's, is left.

        Raises:
            OSError: they cannot be stored.
        """
        if len(paths) > MOST_STORED_SINGLY:
            sync_file_system(self.folder)
            return
        folders = {above for path in paths for above in Path(path).parents if self._is_own(above)}
        for path in (*paths, *sorted(map(str, folders))):
            with suppress(FileNotFoundError, PermissionError):
                _fsync(path)

    def _is_own(self, folder: Path) -> bool:
        """Whether a folder may have been made by a transfer; the one above has its name."""
        return folder == self.folder.parent or folder.is_relative_to(self.folder)


def digest_of(path: str, count: int) -> hashlib._Hash:
    """Return the checksum of the first bytes of a file, to be continued.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    file = LocalFile.to_read(path)
    try:
        while count and (block := file.read(min(BLOCK_BYTES, count))):
            digest.update(block)
            count -= len(block)
    finally:
        file.close()
    return digest


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
