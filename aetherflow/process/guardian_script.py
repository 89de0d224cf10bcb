"""Find and end processes by a mark in their environment; as a script: the guardian of an engine process.

Run as `python -I -S guardian_script.py MARK` with a pipe as its standard input, it waits for the other end to
close, which the kernel does also for an engine that was killed with SIGKILL, and then ends every process that
carries the mark. It imports nothing but the standard library, so that it starts fast and stays small.

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

LEFTOVER_GRACE_SECONDS = 2.0
KILL_PATIENCE_SECONDS = 10.0
"""How long a process may take to disappear after SIGKILL (one stuck in the kernel never does)."""
PAUSE_SECONDS = 0.05


class Ending:
    """The end of all processes that carry a mark, or are in a group: SIGTERM, a grace, SIGKILL.

    It proceeds in rounds, between which the caller waits (the engine on its loop, the guardian by sleeping).
    Every round scans again, so that processes started meanwhile are found too.

    Attributes:
        survivors: the processes found in the last round.
    """

    def __init__(self, mark: str, grace_seconds: float, *, group: int = 0) -> None:
        """Begin to end the processes; signal the process group, if given, immediately.

        The leader of the group must not have been reaped yet: only until then its number is not used again.
        """
        self.survivors: list[int] = []
        self._mark = b"\0" + mark.encode()
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
        self.survivors = _living(self._mark, self._group)
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
                if _carries(pid, self._mark):
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def _living(mark: bytes, group: int) -> list[int]:
    """Return the living processes with the mark or in the group; a zombie counts as dead."""
    if sys.platform != "linux":
        return [group] if group and _signal_group(group, 0) else []
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))  # noqa: PTH208 - pathlib costs start-up time
    return [
        pid
        for pid in pids
        if _carries(pid, mark) or (group and _group_of(pid) == group and not _is_zombie(pid))
    ]


def _carries(pid: int, mark: bytes) -> bool:
    """Whether a process was started with the mark in its environment (a zombie has none)."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - pathlib costs start-up time
            return mark in b"\0" + file.read()
    except OSError:  # gone, or another user's
        return False


def _is_zombie(pid: int) -> bool:
    """Whether all threads of a process have ended; the main thread may end before the others."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - as above
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return True
    state, threads = fields[0], int(fields[17])
    return state in b"ZX" and threads <= 1


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
    while os.read(0, 1):
        pass
    ending = Ending(sys.argv[1], LEFTOVER_GRACE_SECONDS)
    while not ending.round():
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main()
