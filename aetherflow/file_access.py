"""Create files and folders with the access that `AETHERFLOW_FILE_ACCESS` names, whatever the umask is.

The umask belongs to the whole process, and the programs of steps inherit it. So it is never changed: every
file gets its mode when it is made. What exists already keeps its mode. Imports nothing of AetherFlow.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

FileAccess = Literal["private", "group"]
"""Who may read and write what AetherFlow creates: the owner alone, or also the group of the folder."""

_FILES: dict[FileAccess, int] = {"private": 0o600, "group": 0o660}
_FOLDERS: dict[FileAccess, int] = {"private": 0o700, "group": 0o2770}  # setgid: the group is inherited

_OWNER_FILE = 0o600
_OWNER_FOLDER = 0o700


def file_mode(access: FileAccess) -> int:
    """Return the mode of a new file."""
    return _FILES[access]


def make_folder(path: Path, access: FileAccess | None) -> bool:
    """Make a folder and its missing parents; return whether this call made it.

    Args:
        path: the folder.
        access: who may use the folders that are made; None: those whom the umask allows.

    Raises:
        OSError: it cannot be made, or is there and no folder.
    """
    try:
        return _make_one(path, access)
    except FileNotFoundError:
        if path.parent == path:
            raise
        make_folder(path.parent, access)
        return _make_one(path, access)


def _make_one(path: Path, access: FileAccess | None) -> bool:
    try:
        path.mkdir(0o777 if access is None else _OWNER_FOLDER)
    except FileNotFoundError:
        raise
    except OSError:  # some systems report another error than FileExistsError for what exists
        if not path.is_dir():
            raise
        return False
    if access is not None:
        set_mode(path, _FOLDERS[access])
    return True


def open_file(path: Path, mode: str, access: FileAccess | None, **options: Any) -> IO[Any]:
    """Open a file as `open` does; if that makes it, it gets the access (None: as the umask says).

    Raises:
        OSError: it cannot be opened.
    """
    return open(path, mode, opener=opener(access), **options)


def opener(access: FileAccess | None) -> Callable[[str, int], int]:
    """Return what `open` and `FileIO` take as `opener`."""

    def open_descriptor(path: str, flags: int) -> int:
        if access is None:
            return os.open(path, flags, 0o666)
        if flags & os.O_CREAT:
            try:  # O_EXCL shows whether this call makes the file: only such a file gets a mode
                return _make(path, flags, access)
            except FileExistsError:
                if flags & os.O_EXCL:
                    raise
        return os.open(path, flags, _OWNER_FILE)

    return open_descriptor


def make_file(path: Path, access: FileAccess) -> None:
    """Make an empty file, unless it exists; a link is followed.

    An existing file is not opened: closing a database would release the locks that this process has on it.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(_make(os.path.realpath(path), os.O_RDWR | os.O_CREAT, access))


def set_mode(path: Path | int, mode: int) -> None:
    """Set a mode exactly, where the file system has modes; `open` and `mkdir` take the umask's bits away."""
    with suppress(OSError):
        os.chmod(path, mode)  # noqa: PTH101 - takes descriptors, too


def _make(path: str, flags: int, access: FileAccess) -> int:
    descriptor = os.open(path, flags | os.O_EXCL, _OWNER_FILE)
    set_mode(descriptor, _FILES[access])
    return descriptor
