"""Write whole files or none: work in a hidden folder, and rename what is in it when all of it is complete.

A killed process leaves only the hidden folder, which the next attempt of the same step removes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from aetherflow import StepError

Writing = Callable[[Path], AbstractContextManager[Path]]
"""Returns a block with a temporary path, which is renamed to the given one at its end."""

_OWNER_ONLY = 0o700
_ROOM, _RIGHTS = "make room on the disk", "correct its permissions, or name another place"
_IN_ITS_PLACE = "move away what is in its place, or name another one"
_HINTS: Mapping[int, str] = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
    errno.EEXIST: _IN_ITS_PLACE,
    errno.EISDIR: _IN_ITS_PLACE,
    errno.ENOTDIR: _IN_ITS_PLACE,
    errno.ENAMETOOLONG: "names have at most 255 bytes and paths 4,096: choose another folder, or rename it",
}


class Published(msgspec.Struct, frozen=True):
    """What is in the destination now.

    Attributes:
        files: all files of the archive, absolute.
        skipped: those of them that existed before and stay as they were.
        size: the bytes of all of them.
    """

    files: list[str]
    skipped: list[str]
    size: int


@contextmanager
def hidden_folder(near: Path, key: str) -> Iterator[Path]:
    """Make an empty folder on the file system of a path, and remove it at the end of the block.

    Args:
        near: a path that may not exist; the folder is made there or in the nearest folder above it.
        key: the same in each attempt, so that the next one removes what a killed one has left.
    """
    name = f".aetherflow.{hashlib.sha256(key.encode()).hexdigest()[:8]}.part"
    for above in (near, *near.parents):  # when the killed attempt began, fewer folders may have been there
        if os.path.lexists(above / name):
            shutil.rmtree(above / name)
    while not near.is_dir():
        near = near.parent
    folder = near / name
    folder.mkdir(_OWNER_ONLY)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(
    staged: Path,
    names: Sequence[str],
    destination: Path,
    *,
    writing: Writing,
    make_folder: Callable[[Path], None],
    overwrite: bool,
) -> Published:
    """Rename complete files to their places.

    Args:
        staged: where the files are.
        names: their names there and in the destination; a folder ends with `/`.
        destination: the folder that they get to.
        writing: replaces a file atomically.
        make_folder: makes a folder and those above it.
        overwrite: whether files that exist are replaced; else they stay as they are.

    Raises:
        StepError: a link in the destination leads out of it (AF392).
        OSError: a file cannot be written.
    """
    make_folder(destination)
    root = destination.resolve()
    placed, skipped, size = [], [], 0
    safe: set[Path] = set()
    for name in names:
        target = destination / name
        if target.is_symlink() or target.parent not in safe:
            _check_inside(target, destination, root)
            safe.add(target.parent)
        if name.endswith("/"):
            make_folder(target)
            continue
        placed.append(str(target))
        size += (staged / name).stat().st_size
        if not overwrite and os.path.lexists(target):
            skipped.append(str(target))
            continue
        with writing(target) as part:
            move(staged / name, part)
    return Published(placed, skipped, size)


def _check_inside(target: Path, destination: Path, root: Path) -> None:
    if not target.resolve().is_relative_to(root):
        raise StepError(
            f"{target} would be written to {target.resolve()}: a link in {destination} leads out of it",
            hint="remove the link, or unpack elsewhere",
            code="AF392",
        )


def move(source: Path, target: Path) -> None:
    """Rename a file, or copy it to another file system.

    Raises:
        OSError: it cannot be written.
    """
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copyfile(source, target)
        with suppress(OSError):
            shutil.copystat(source, target)


def not_written(error: OSError, place: Path) -> StepError:
    """Return the error of a step that cannot read or write a file, at a place if the error names none."""
    hint = _HINTS.get(
        error.errno or 0, "make room, correct the permissions, or move away what is in its place"
    )
    return StepError(
        f"cannot read or write {error.filename2 or error.filename or place}: {error.strerror or error}",
        hint=hint,
        code="AF397",
    )
