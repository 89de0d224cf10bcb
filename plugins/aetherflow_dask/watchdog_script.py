"""Kill a process whose beats stay away; a script that imports nothing but the standard library.

Run as `python -I -S watchdog_script.py PID` by that process, with a pipe as its standard input. Each line
there is a beat: the seconds within which the next one comes; 0: none has to come. It ends when the pipe does.
"""

from __future__ import annotations

import os
import select
import signal
import sys


def main(pid: int) -> None:
    """Watch the process until the pipe ends, or kill it."""
    if os.getppid() != pid:
        return  # it has ended already
    handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    limit: float | None = None
    while True:
        if not select.select([0], [], [], limit)[0]:
            break
        beats = os.read(0, 65536)
        if not beats:
            return
        limit = float(beats.split()[-1]) or None
    if handle is not None:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    elif os.getppid() == pid:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
