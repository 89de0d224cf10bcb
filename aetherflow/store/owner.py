"""Who a process is, and whether it still lives: what makes a lease of a killed process free at once."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True):
    """A process, named so that no other one, on any host and after any reboot, has the same name.

    Attributes:
        host: host name, boot id and process-id namespace, as far as the platform tells them.
        pid: process id on that host.
        started: when the process started, in the kernel's own unit; a reused pid differs here.
    """

    host: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host.partition(' ')[0]}"


def this_process() -> Owner:
    """Return the owner that this process is."""
    pid = os.getpid()
    return Owner(host=_host(), pid=pid, started=_start_time(pid) or "")


def is_dead(owner: Owner) -> bool:
    """Whether the process has certainly ended: only this host's own processes can be looked at."""
    if owner.host != _host():
        return False
    if Path("/proc/self/stat").exists():
        return _start_time(owner.pid) != owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # it lives, as somebody else
    return False


def _host() -> str:
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _start_time(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot; None if it is gone or a zombie.

    Source: proc_pid_stat(5), fields 3 (state) and 22 (starttime), counted after the name in parentheses.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
