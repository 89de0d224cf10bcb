"""Find and end processes by a mark in their environment; as a script: the guardian of an engine process.

Run as `python -I -S guardian_script.py MARK` with a pipe as its standard input, it waits for the other end to
close, which the kernel does also for an engine that was killed with SIGKILL, and then ends every process that
carries the mark. Each line in the pipe is a whole mark whose processes it leaves running. It imports nothing
but the standard library, so that it starts fast and stays small.

A process is recognised by its *initial* environment (`/proc/PID/environ`), which children inherit through
fork, exec, setsid and double forks. What escapes: a process that was started with a cleared environment
(`env -i`, sudo) and left its process group as well, and one that overwrote its environment to show a title.
Without /proc (off Linux) only process groups are seen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

LEFTOVER_GRACE_SECONDS = 2.0
KILL_PATIENCE_SECONDS = 10.0
"""How long a process may take to disappear after SIGKILL (one stuck in the kernel never does)."""
PAUSE_SECONDS = 0.05
EXEC_LOOKS = 50
EXEC_PAUSE_SECONDS = 0.001
"""How often a process is looked at that has neither environment nor words yet, and the pause between."""
KERNEL_THREAD = 0x00200000
"""PF_KTHREAD among the flags of a process: it has neither environment nor words for ever."""


class Found(NamedTuple):
    """A living process.

    Attributes:
        name: of its program, as the kernel has it: the first 15 bytes.
        started: when it was started, in ticks since the boot: with the pid it names one process only.
    """

    pid: int
    name: str
    started: int


class Signalled(NamedTuple):
    """A process that got a signal: its name, the last signal (SIGTERM or SIGKILL), its mark if it has one."""

    name: str
    number: signal.Signals
    mark: bytes


class Ending:
    """The end of all processes that carry a mark, or are in a group: SIGTERM, a grace, SIGKILL.

    It proceeds in rounds, between which the caller waits (the engine on its loop, the guardian by sleeping).
    Every round scans again, so that processes started meanwhile are found too.

    Attributes:
        survivors: the processes found in the last round.
        signalled: every process that got a signal.
    """

    def __init__(
        self,
        mark: str,
        grace_seconds: float,
        *,
        group: int = 0,
        left: Collection[bytes] = (),
        unmarked: Iterable[Found] = (),
    ) -> None:
        """Begin to end the processes; signal the process group, if given, immediately.

        Args:
            mark: the variable of the environment, and how its value begins.
            grace_seconds: the time between SIGTERM and SIGKILL.
            group: a process group. Its leader must not have been reaped yet: only until then its number is
                not used again.
            left: whole marks of processes that are left running.
            unmarked: more processes to end, which carry no mark.
        """
        self.survivors: list[int] = []
        self.signalled: dict[int, Signalled] = {}
        self._mark = b"\0" + mark.encode()
        self._left = left
        self._unmarked = {one.pid: one.started for one in unmarked}
        self._group = group
        self._terminated: set[int] = set()
        self._quiet = 0
        self._kill_at = time.monotonic() + grace_seconds
        self._give_up_at = self._kill_at + KILL_PATIENCE_SECONDS
        if group:
            # A stopped process handles SIGTERM only when it is continued.
            _signal_group(group, signal.SIGTERM)
            _signal_group(group, signal.SIGCONT)

    def round(self) -> bool:
        """Look for what still lives and signal it; return whether the work is over.

        Two empty scans in a row are needed: a process may fork and exit just while the list is read.
        """
        now = time.monotonic()
        killing = now >= self._kill_at
        if killing and self._group:
            _signal_group(self._group, signal.SIGKILL)
        unmarked = filter(self._is_unmarked, self._unmarked)
        self.survivors = sorted({*living(self._mark, self._group, self._left), *unmarked})
        self._quiet = 0 if self.survivors else self._quiet + 1
        for pid in self.survivors:
            if killing:
                self._signal(pid, signal.SIGKILL)
            elif pid not in self._terminated:
                self._terminated.add(pid)
                # The group got its SIGTERM already, and some programs take a second one as «at once».
                if not (self._group and _group_of(pid) == self._group):
                    self._signal(pid, signal.SIGTERM)
                    self._signal(pid, signal.SIGCONT)
        return self._quiet > 1 or now >= self._give_up_at

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Signal a process, unless it has ended and its number was reused."""
        if not hasattr(os, "pidfd_open"):
            return
        with contextlib.suppress(OSError):  # gone, or not ours to signal: then it stays among the survivors
            handle = os.pidfd_open(pid)
            try:
                process = look_at(pid)
                whole = _whole_mark(pid, self._mark)
                if process and (self._is_unmarked(pid) if whole is None else whole not in self._left):
                    signal.pidfd_send_signal(handle, number)
                    if number != signal.SIGCONT:
                        self.signalled[pid] = Signalled(process.name, number, whole or b"")
            finally:
                os.close(handle)

    def _is_unmarked(self, pid: int) -> bool:
        process = look_at(pid)
        return process is not None and self._unmarked.get(pid) == process.started


def living(
    mark: bytes, group: int = 0, left: Collection[bytes] = (), pids: Iterable[int] | None = None
) -> list[int]:
    """Return the living processes with the mark or in the group; a zombie counts as dead.

    Args:
        mark: a NUL, the variable of the environment, and how its value begins.
        group: a process group.
        left: whole marks that do not count.
        pids: where to look; by default at all processes.
    """
    if sys.platform != "linux":
        return [group] if group and _signal_group(group, 0) else []
    if pids is None:
        pids = map(int, filter(str.isdigit, os.listdir("/proc")))  # noqa: PTH208 - pathlib costs start-up time
    return [
        pid
        for pid in pids
        if _carries(pid, mark, left) or (group and _group_of(pid) == group and not _is_zombie(pid))
    ]


def look_at(pid: int) -> Found | None:
    """Return a process as the kernel describes it; None if it has ended."""
    stat = _stat(pid)
    return None if stat is None or _has_ended(stat) else Found(pid, stat[0], int(stat[20]))


def holders(pipe: int, besides: int) -> list[int]:
    """Return the processes that have a pipe open, by its inode; `besides` is not looked at."""
    if sys.platform != "linux":
        return []
    name, found = f"pipe:[{pipe}]", []
    for pid in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - pathlib costs start-up time
        with contextlib.suppress(OSError):  # gone, or another user's
            folder = f"/proc/{pid}/fd"
            if int(pid) != besides and any(
                os.readlink(f"{folder}/{number}") == name  # noqa: PTH115 - as above
                for number in os.listdir(folder)  # noqa: PTH208 - as above
            ):
                found.append(int(pid))
    return found


def _carries(pid: int, mark: bytes, left: Collection[bytes]) -> bool:
    """Whether a process was started with the mark in its environment, and is not left running."""
    whole = _whole_mark(pid, mark)
    return whole is not None and whole not in left


def _whole_mark(pid: int, mark: bytes) -> bytes | None:
    """Return the mark of a process, if it begins like this one (a zombie has none)."""
    try:
        environment = b"\0" + _environment(pid) + b"\0"
    except OSError:  # gone, or another user's
        return None
    at = environment.find(mark)
    return None if at < 0 else environment[environment.index(b"=", at) + 1 : environment.index(b"\0", at + 1)]


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs start-up time
        return file.read()


def _environment(pid: int) -> bytes:
    """Return the initial environment of a process; one in the moment of its exec is waited for.

    Raises:
        OSError: it is gone, or another user's.
    """
    before = b""
    for _ in range(EXEC_LOOKS):
        if found := _read(pid, "environ"):
            return found
        stat = _stat(pid)
        if stat is None or _has_ended(stat) or int(stat[7]) & KERNEL_THREAD:
            break
        words = _read(pid, "cmdline")
        if words and words == before:
            break  # the same program twice: it was started without an environment
        before = words
        if not words:
            time.sleep(EXEC_PAUSE_SECONDS)
    return b""


def _is_zombie(pid: int) -> bool:
    """Whether all threads of a process have ended; the main thread may end before the others."""
    stat = _stat(pid)
    return stat is None or _has_ended(stat)


def _has_ended(stat: list[str]) -> bool:
    return stat[1] in "ZX" and int(stat[18]) <= 1


def _stat(pid: int) -> list[str] | None:
    """Return the name of a process and the fields that follow it in its `stat`; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs start-up time
            _, _, rest = file.read().decode("utf-8", "replace").partition("(")
    except OSError:
        return None
    name, _, fields = rest.rpartition(")")
    return [name, *fields.split()]


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; return whether a process received it."""
    try:
        os.killpg(group, number)
    except OSError:  # no process is left, or none that we may signal
        return False
    return True


def main() -> None:
    """Wait for the end of the engine, then end the processes that it left."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    left: set[bytes] = set()
    unfinished = b""
    while data := os.read(0, 4096):
        *marks, unfinished = (unfinished + data).split(b"\n")
        left.update(marks)
    ending = Ending(sys.argv[1], LEFTOVER_GRACE_SECONDS, left=left)
    while not ending.round():
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
