"""Find out which process keeps a state database locked, or uses it, as far as the kernel shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aetherflow.mounts import mount_of
from aetherflow.store.filesystem import beside

_LOCKS = Path("/proc/locks")

WRITER_BYTE = 120
"""The byte of the shared-memory file that a writer locks in WAL mode (https://sqlite.org/walformat.html)."""

PENDING_BYTE = 0x40000000
"""From here on processes lock the database file itself (https://sqlite.org/fileformat.html)."""


class _Lock(NamedTuple):
    pid: int
    access: str
    first: int


def who_locks(path: Path) -> str:
    """Return `process 4711 (sqlite3)` for each process that keeps others from writing; empty if unknown."""
    holders = [lock.pid for lock in _locks_on(path) if lock.access == "WRITE" and lock.first >= PENDING_BYTE]
    holders += [
        lock.pid
        for lock in _locks_on(beside(path, "-shm"))
        if lock.access == "WRITE" and lock.first == WRITER_BYTE
    ]
    return ", ".join(map(_name, dict.fromkeys(holders)))


def others_use_index(path: Path) -> bool:
    """Whether another process has the index of the log of a database open, as far as it can be seen."""
    return any(lock.pid != os.getpid() for lock in _locks_on(beside(path, "-shm")))


def _locks_on(file: Path) -> Iterator[_Lock]:
    """Return the locks on a file, of all processes that the caller may see.

    Linux lists for each lock (proc_locks(5)): kind, access, process id, device, inode, first and last byte.
    The device is that of the file system, which for some (btrfs) is not the one that stat reports.
    """
    try:
        stat = file.stat()
        lines = _LOCKS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    major, colon, minor = mount_of(file).device.partition(":")
    if not colon:
        major, minor = str(os.major(stat.st_dev)), str(os.minor(stat.st_dev))
    place = f"{int(major):02x}:{int(minor):02x}:{stat.st_ino}"
    for line in lines:
        match line.split():
            case [_, "POSIX", _, access, pid, where, first, *_] if where == place:
                yield _Lock(int(pid), access, int(first))


def _name(pid: int) -> str:
    if pid == os.getpid():
        return "this process itself"
    try:
        command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {pid}"
    return f"process {pid} ({command})"
