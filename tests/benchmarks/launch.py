"""Start a command and print what it cost: seconds, CPU seconds, the most memory it had at once (MB).

    python -I -S launch.py COMMAND ...

What the command prints is not shown. This is a process of its own, and a small one, because the system counts
the memory of the parent as well: a child has that until it becomes its own program.
"""

from __future__ import annotations

import os
import sys
import time


def main(command: list[str]) -> int:
    """Start the command, wait for it, print; return its exit code."""
    nothing = os.open(os.devnull, os.O_RDWR)
    quiet = [(os.POSIX_SPAWN_DUP2, nothing, stream) for stream in range(3)]
    started = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{seconds} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss / 1000}\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
