"""Kill a process whose beats stay away, or that outlives the process that started it.

A script that imports nothing but the standard library, run as `python -I -S watchdog_script.py PID [FD]` by
the process PID, with a pipe as its standard input. Each line there is a beat: the seconds within which the
next one comes; 0: none has to come. It ends when the pipe does. FD is the standard input of the process: when
that ends, the process ends by itself, or is killed if it does not.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

END_SECONDS = 5.0
"""How long the process may take to end by itself."""


def main(pid: int, above: int | None = None) -> None:
    """Watch the process until the pipe ends, or kill it."""
    if os.getppid() != pid:
        return  # it has ended already
    handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    if not must_be_killed(above):
        return
    if handle is not None:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    elif os.getppid() == pid:
        os.kill(pid, signal.SIGKILL)


def must_be_killed(above: int | None) -> bool:
    """Return whether the process was silent for too long, or outlives its input; not if it has ended."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    if above is not None:
        poll.register(above, 0)  # its end is reported in any case; what comes there is for the process
    until: float | None = None
    is_orphan = False
    while ready := poll.poll(None if until is None else max(until - time.monotonic(), 0) * 1000):
        for file, happened in ready:
            if file != 0:
                poll.unregister(file)
                if happened & select.POLLHUP:
                    is_orphan, until = True, time.monotonic() + END_SECONDS
                continue
            beats = os.read(0, 65536)
            if not beats:
                return False
            seconds = float(beats.split()[-1])
            if not is_orphan:
                until = time.monotonic() + seconds if seconds else None
    return True


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
