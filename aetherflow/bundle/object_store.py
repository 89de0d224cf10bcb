"""Store file contents by their sha256: each content once, read-only, on the disk before it gets its name."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterable
from pathlib import Path

from aetherflow.bundle.source import BundleFile, SourceChanged
from aetherflow.bundle.sync_index import Entry
from aetherflow.errors import BundleError
from aetherflow.file_access import FileAccess, open_file, set_mode

PART = ".part"
_NAME = re.compile(r"[0-9a-f]{64}(\.x)?|\.[0-9a-f]+\.part")
"""The name of an object, or of one that is being written. Files of others may be in the folder, too."""

_MODES: dict[FileAccess, tuple[int, int]] = {"private": (0o400, 0o500), "group": (0o440, 0o550)}


class ObjectStore:
    """The folder of objects (file contents named by their sha256), as one sync uses it.

    Attributes:
        stored: when each intact object was stored, in ns.
    """

    def __init__(self, directory: Path, stored: dict[str, int], access: FileAccess = "private") -> None:
        self.directory = directory
        self.access = access
        self.stored = unchanged(directory, stored)
        self._naming = threading.Lock()

    def take(self, temporary: Path, entry: Entry) -> None:
        """Rename a temporary file to its object, unless the same content is there already."""
        with self._naming:  # several files are stored at once, and some may be equal
            if entry.object not in self.stored:
                temporary.replace(self.directory / entry.object)
                self.stored[entry.object] = (self.directory / entry.object).lstat().st_mtime_ns


class ObjectWriter:
    """Writes one new object; use it in worker threads.

    Raises:
        OSError: from every method, if the object cannot be stored.
    """

    def __init__(self, objects: ObjectStore, file: BundleFile) -> None:
        self._objects = objects
        self._file = file
        self._temporary = objects.directory / f".{secrets.token_hex(8)}{PART}"
        self._digest = hashlib.sha256()
        self._size = 0
        self._stream = open_file(self._temporary, "xb", objects.access, buffering=0)

    def write(self, chunk: bytes) -> None:
        """Append a piece.

        Raises:
            SourceChanged: the file is longer than it was when it was listed.
        """
        self._size += len(chunk)
        if self._size > self._file.size:
            raise SourceChanged(f"{self._file.path} grew while the bundle was synced")
        self._digest.update(chunk)
        left = memoryview(chunk)
        while left:
            left = left[self._stream.write(left) :]

    def finish(self) -> Entry:
        """Check the content against the fingerprint, and rename the file to its object.

        Raises:
            SourceChanged: the file is shorter than it was when it was listed.
            BundleError: its sha256 is not the one that the source lists.
        """
        file = self._file
        if self._size < file.size:
            raise SourceChanged(f"{file.path} became shorter while the bundle was synced")
        sha256 = self._digest.hexdigest()
        if file.sha256 and sha256 != file.sha256.lower():
            raise BundleError(
                f"{file.path}: the source says sha256 {file.sha256}, but what it sent has {sha256}",
                hint="put the file into the source again, or correct its fingerprint there",
                code="AF858",
            )
        entry = Entry(file, sha256)
        set_mode(self._temporary, object_mode(self._objects.access, executable=file.executable))
        os.fsync(self._stream.fileno())
        self._objects.take(self._temporary, entry)
        return entry

    def close(self) -> None:
        """Close the file, and remove it if it has not become an object."""
        self._stream.close()
        self._temporary.unlink(missing_ok=True)


def object_mode(access: FileAccess, *, executable: bool) -> int:
    """Return the mode of an object: nobody may write it."""
    return _MODES[access][executable]


def unchanged(directory: Path, stored: dict[str, int]) -> dict[str, int]:
    """Return those objects that are still as they were stored."""
    intact = {}
    for name, time in stored.items():
        try:
            found = (directory / name).lstat()
        except FileNotFoundError:
            continue
        if found.st_mtime_ns == time:
            intact[name] = time
    return intact


def remove_unused(objects: ObjectStore, used: Iterable[str]) -> None:
    """Remove leftovers of killed syncs, and objects that are neither in `used` nor in a snapshot."""
    needed = set(used)
    for path in objects.directory.iterdir():
        if not _NAME.fullmatch(path.name):
            continue
        found = path.lstat()
        is_in_snapshot = path.name in objects.stored and found.st_nlink > 1
        if path.name not in needed and not is_in_snapshot and not stat.S_ISDIR(found.st_mode):
            path.unlink()
