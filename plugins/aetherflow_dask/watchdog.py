"""The watchdog of a worker: a small process that kills the worker if its event loop stands still.

A worker that hangs cannot end its programs. When it is killed, its guardian ends them; so they have ended
before the engine gives the attempt to another worker. It also kills a worker that stands still when the
process that started it has ended, whether it has attempts or not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

from aetherflow_dask import watchdog_script

END_SECONDS = 1.0
"""How long the process may take to see that its pipe has ended; it is on the event loop that this waits."""


class Watchdog:
    """Starts the process with the first beat; all methods are for one thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._input: int | None = None
        self._rests = True

    def ends_with_input(self) -> None:
        """Start the process now; it kills this one if that outlives the other end of its standard input."""
        self._input = os.dup(0)
        self._start()

    def beat(self, seconds: float) -> None:
        """Say that this process lives, and that the next beat comes within so many seconds."""
        if self._process is not None and self._process.poll() is not None:
            self.end()  # somebody has ended it
        if self._process is None:
            self._start()
        self._say(seconds)
        self._rests = False

    def rest(self) -> None:
        """Say that nothing runs that would have to be ended."""
        if not self._rests:
            self._say(0)
            self._rests = True

    def end(self) -> None:
        """End the process."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:  # it is stopped itself
                self._process.kill()
                self._process.wait()
        self._process = None

    def _start(self) -> None:
        files = () if self._input is None else (self._input,)
        self._process = subprocess.Popen(  # noqa: S603 - our own script, by our own interpreter
            [sys.executable, "-I", "-S", watchdog_script.__file__, *map(str, (os.getpid(), *files))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
            pass_fds=files,
        )
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)

    def _say(self, seconds: float) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # it was ended, which the next beat sees; or its pipe is full of beats
                os.write(self._process.stdin.fileno(), f"{seconds:.1f}\n".encode())
