"""Write zip archives with `zipfile` or `pyzipper`: the same files give the same bytes, unless encrypted."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from aetherflow import files
from aetherflow_archive.archive_connector import PackedFile
from aetherflow_archive.file_changed import file_changed
from aetherflow_archive.watching import Watch

_UNIX = 3
_FILE, _PROGRAM = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755
_TIME = struct.Struct("<HHBi")
_TIME_EXTRA = 0x5455
_EARLIEST, _LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)
_MOST_SECONDS = 2**31


def write_members(archive: Any, info_type: Any, members: Sequence[PackedFile], watch: Watch) -> None:
    """Write files to an open archive, in their order.

    Args:
        archive: an archive of `zipfile` or `pyzipper`, open for writing.
        info_type: the library's class for the description of a member.
        members: the files.
        watch: is asked between pieces whether to stop.

    Raises:
        StepError: a file changed while it was read (AF395), or the step must stop.
        OSError: a file cannot be read, or the archive cannot be written.
    """
    total = sum(member.path.stat().st_size for member in members)
    done = 0
    for member in members:
        with member.path.open("rb") as source:
            status = os.fstat(source.fileno())
            info = _info(archive, info_type, member.name, status)
            with archive.open(info, "w") as target:
                for block in _whole(source, status.st_size, member.path):
                    watch.raise_if_stopping()
                    target.write(block)
                    done += len(block)
                    watch.progress(done, total, "bytes", member.name)


def _whole(source: BinaryIO, size: int, path: Path) -> Any:
    """Yield the content of a file that must have this size.

    Raises:
        StepError: it has another.
    """
    count = 0
    while block := source.read(files.BLOCK_BYTES):
        count += len(block)
        if count > size:
            break
        yield block
    if count != size:
        raise file_changed(path)


def _info(archive: Any, info_type: Any, name: str, status: os.stat_result) -> Any:
    """Return the description of a member; its time is in UTC, so that it does not depend on the machine."""
    seconds = int(status.st_mtime)
    info = info_type(name, _date(seconds))
    info.compress_type = archive.compression
    info.create_system = _UNIX
    info.external_attr = (_PROGRAM if status.st_mode & stat.S_IXUSR else _FILE) << 16
    info.file_size = status.st_size
    if 0 <= seconds < _MOST_SECONDS:
        info.extra = _TIME.pack(_TIME_EXTRA, _TIME.size - 4, 1, seconds)
    return info


def _date(seconds: int) -> tuple[int, int, int, int, int, int]:
    moment = datetime.fromtimestamp(seconds, UTC)
    date = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return min(max(date, _EARLIEST), _LATEST)
