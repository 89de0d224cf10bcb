"""Find out which process keeps a state database locked, as far as the kernel shows it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LOCKS = Path("/proc/locks")

WRITER_BYTE = 120
"""The byte of the shared-memory file that a writer locks in WAL mode (https://sqlite.org/walformat.html)."""

PENDING_BYTE = 0x40000000
"""From here on processes lock the database file itself (https://sqlite.org/fileformat.html)."""


def who_locks(path: Path) -> str:
    """Return `process 4711 (sqlite3)` for each process that keeps others from writing; empty if unknown.

    Linux lists the locks of all processes that the caller may see (proc_locks(5)): kind, access, process id,
    device and inode, first and last byte.
    """
    inodes = {}
    for file, first in ((path, PENDING_BYTE), (path.with_name(f"{path.name}-shm"), WRITER_BYTE)):
        with contextlib.suppress(OSError):
            inodes[str(file.stat().st_ino)] = first
    try:
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    holders = []
    for line in lines:
        match line.split():
            case [_, "POSIX", _, "WRITE", pid, place, at, *_] if _is_at(place, at, inodes):
                holders.append(int(pid))
    return ", ".join(map(_name, dict.fromkeys(holders)))


def _is_at(place: str, at: str, inodes: dict[str, int]) -> bool:
    first = inodes.get(place.rpartition(":")[2])
    return first is not None and (int(at) == first or int(at) > first == PENDING_BYTE)


def _name(pid: int) -> str:
    if pid == os.getpid():
        return "this process itself"
    try:
        command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({command})"
