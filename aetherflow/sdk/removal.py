"""Delete folders that AetherFlow made: no other folder, not what a link leads to, nothing that is mounted.

A folder that may have to be deleted later is made by `make_own`, which leaves a note beside it. Without the
note nothing is deleted. May import `file_access` and `mounts` only; the functions block.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

from aetherflow.file_access import FileAccess, make_folder, open_file
from aetherflow.mounts import mounts_below

_LONGEST_NAME = 200


class NotOursError(OSError):
    """A folder would be deleted that AetherFlow did not make."""


def make_own(folder: Path, access: FileAccess | None) -> None:
    """Make a folder, and note that it may be deleted; one with content that is there already gets no note.

    Raises:
        OSError: it cannot be made.
    """
    if make_folder(folder, access) or not any(folder.iterdir()):
        note_as_own(folder, access)


def note_as_own(folder: Path, access: FileAccess | None) -> None:
    """Note that a folder may be deleted, which may get its name only after that.

    Raises:
        OSError: the note cannot be written.
    """
    text = f"AetherFlow made the folder {folder.name} and deletes it when it is not needed.\n"
    with open_file(note_of(folder), "wb", access, buffering=0) as file:
        file.write(os.fsencode(text))


def is_own(folder: Path) -> bool:
    """Whether AetherFlow made a folder; a link is never its own."""
    return folder.is_dir() and not folder.is_symlink() and note_of(folder).exists()


def remove_own(folder: Path) -> None:
    """Delete a folder that AetherFlow made; do nothing if it does not exist.

    Raises:
        NotOursError: it is none, or AetherFlow did not make it.
        OSError: it cannot be deleted, or something is mounted below it.
    """
    if os.path.lexists(folder):
        if folder.is_symlink():
            raise NotOursError(errno.EPERM, "it is a symbolic link", str(folder))
        if not is_own(folder):
            raise NotOursError(
                errno.EPERM, "AetherFlow did not make it, or an older version did", str(folder)
            )
        remove_tree(folder)
    note_of(folder).unlink(missing_ok=True)


def note_of(folder: Path) -> Path:
    """Return the file beside a folder that says that AetherFlow made it."""
    name = folder.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return folder.with_name(f".{name}.aetherflow")


def remove_tree(folder: Path) -> None:
    """Delete a folder with its content, unless something is mounted in it.

    Raises:
        OSError: it is a link, something is mounted in it, or it cannot be deleted.
    """
    if mounts := mounts_below(folder):
        raise OSError(errno.EBUSY, f"something is mounted at {mounts[0]}", str(folder))
    shutil.rmtree(folder)
