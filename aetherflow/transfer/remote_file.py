"""A file of a listing elsewhere, as steps output it and take it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from aetherflow.language.dates import utc_text
from aetherflow.sdk.file_selection import FileEntry
from aetherflow.sdk.remote_files import RemoteEntry
from aetherflow.transfer.remote_inputs import GivenFile


class RemoteFile(msgspec.Struct, frozen=True):
    """A file or folder elsewhere.

    Attributes:
        path: names it there; the methods of its connector take it.
        name: the last part of `rel_path`.
        rel_path: below the folder that was listed, with `/` between its parts.
        size: in bytes; null if the step got only its path.
        mtime: when it was changed, in whole seconds since 1970 UTC; null if that is unknown.
        modified: the same as RFC 3339 text in UTC; empty if unknown.
        is_dir: whether it is a folder.
        sha256: its checksum, if it is known.
    """

    path: str
    name: str
    rel_path: str
    size: int | None = None
    mtime: int | None = None
    modified: str = ""
    is_dir: bool = False
    sha256: str | None = None


def listed_file(rel_path: str, entry: RemoteEntry) -> RemoteFile:
    """Return an entry of the far side as a file of a listing."""
    name = rel_path.rpartition("/")[2]
    time = _time(entry.mtime)
    return RemoteFile(entry.path, name, rel_path, entry.size, *_shown(time), is_dir=entry.is_dir)


def given_file(given: str | GivenFile) -> RemoteFile:
    """Return a file that the inputs name; its name begins after a slash or backslash."""
    given = GivenFile(given) if isinstance(given, str) else given
    rel_path = given.rel_path or given.path.replace("\\", "/").rstrip("/").rpartition("/")[2] or given.path
    time = _time(given.mtime if isinstance(given.mtime, int | float) else None)
    return RemoteFile(
        path=given.path,
        name=rel_path.rpartition("/")[2],
        rel_path=rel_path,
        size=given.size,
        mtime=_shown(time)[0],
        modified=_shown(time)[1],
        is_dir=bool(given.is_dir),
        sha256=given.sha256,
    )


def file_entry(rel_path: str, entry: RemoteEntry) -> FileEntry:
    """Return an entry of the far side as the selection compares it."""
    return FileEntry(rel_path, entry.size, _time(entry.mtime))


def _time(mtime: float | None) -> datetime | None:
    """Return an instant; a server may send a number that is none."""
    try:
        return None if mtime is None else datetime.fromtimestamp(mtime, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _shown(time: datetime | None) -> tuple[int | None, str]:
    return (None, "") if time is None else (int(time.timestamp()), utc_text(time, "seconds"))
