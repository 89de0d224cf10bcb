"""Identify a process, and find out whether it is dead and its leases are therefore free."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process, named so that no other one, on any host and after any reboot, has the same name.

    Attributes:
        host: host name, boot id and process-id namespace, as far as the platform has them.
        pid: process id on that host.
        started: when the process started, in the kernel's own unit; a reused pid differs here.
        started_at: the start time for people (RFC 3339 UTC, to the second); empty if unknown.
    """

    host: str
    pid: int
    started: str
    started_at: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition(' ')[0]}"


def this_process() -> ProcessIdentity:
    """Return the identity of this process."""
    pid = os.getpid()
    stat = _stat(pid)
    if stat is None:
        return ProcessIdentity(host=_host(), pid=pid, started="")
    return ProcessIdentity(host=_host(), pid=pid, started=stat.started, started_at=_moment(int(stat.started)))


def is_dead(owner: ProcessIdentity) -> bool:
    """Whether the process has certainly ended; False for those of other hosts, which cannot be checked."""
    if owner.host != _host():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is alive, under another user
    stat = _stat(owner.pid)
    if stat is None:
        return False  # unknown: no /proc, or one that hides the processes of others
    return stat.state in "ZX" or stat.started != owner.started


def _host() -> str:
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


@cache
def _moment(ticks: int) -> str:
    """Convert clock ticks since boot to wall time."""
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(time.time() - age, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Stat(msgspec.Struct, frozen=True):
    state: str
    started: str


def _stat(pid: int) -> _Stat | None:
    """Return the state of a process and when it started, in clock ticks since boot; None if unknown.

    Source: proc_pid_stat(5), fields 3 (state) and 22 (starttime), counted after the name in parentheses; the
    name may hold any bytes.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].decode("ascii").split()
    return _Stat(fields[0], fields[19])
