"""`aetherflow worker`: keeps a worker of a Dask cluster running, as a process of its own that may die.

The worker is a child of this process. It is started again when it has died, was killed by its watchdog as it
hung, or has lost its scheduler. When this process is killed, the worker and the programs of its steps end.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from aetherflow import ConfigError, ExecutorError, WorkerRequest
from aetherflow_dask.child import CANNOT_START_CODE, LOST_CODE, UNREACHABLE_CODE, WorkerRole

PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
"""A worker that ran so long is started again without a longer pause."""


def serve(request: WorkerRequest, log: Callable[[str, str], None]) -> int:
    """Run a worker until SIGTERM or SIGINT asks it to stop; see `aetherflow.Executor.serve`.

    Raises:
        ConfigError: the request cannot be used, or a first worker does not start.
        ExecutorError: the scheduler cannot be reached.
    """
    if not request.address and not request.scheduler_file:
        raise ConfigError("a worker needs the address of its scheduler", code="AF814")
    if request.address.startswith("tls://") and request.tls is None:
        raise ConfigError(
            f"{request.address} is encrypted, and the worker has no certificate",
            hint="give --tls-ca, --tls-cert and --tls-key",
            code="AF814",
        )
    return _Kept(request, log).run()


class Asked:
    """Whether this process was asked to stop.

    A handler of signals may set it at any moment, also in the middle of `wait`: it must not take a lock, as
    an event of `threading` does.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._wakes, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def is_set(self) -> bool:
        """Return whether it was."""
        return self._is_set

    def set(self) -> None:
        """Note that it was, and end `wait`."""
        self._is_set = True
        with suppress(BlockingIOError):  # so many are unread that it wakes anyway
            os.write(self._wake, b"!")

    def wait(self, seconds: float) -> None:
        """Wait until it is asked, or so many seconds have passed."""
        select.select([self._wakes], [], [], seconds)


class _Kept:
    """The worker process, kept running."""

    def __init__(self, request: WorkerRequest, log: Callable[[str, str], None]) -> None:
        self._request, self._log = request, log
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = Asked()

    def run(self) -> int:
        """Start the worker again and again until it is asked to stop; return the exit code.

        Raises:
            ConfigError: a first worker does not start; a later one is tried again.
            ExecutorError: the scheduler cannot be reached.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        if self._request.ends_with_stdin:
            threading.Thread(target=self._end_with_input, daemon=True).start()
        pause, has_started = PAUSE_SECONDS, False
        while not self._asked.is_set():
            begun = time.monotonic()
            code = self._once()
            if self._asked.is_set():
                break
            if code == UNREACHABLE_CODE:
                raise ExecutorError(
                    f"the scheduler at {self._request.address or self._request.scheduler_file} "
                    f"did not let the worker in within {self._request.give_up_after:g} s",
                    hint="start it (dask scheduler), or correct the address and the certificates",
                    code="AF883",
                )
            if code == CANNOT_START_CODE and not has_started:
                raise ConfigError(
                    "the worker does not start; why is above",
                    hint="--listen needs an address of this machine and a free port, "
                    "--tls-cert and --tls-key belong together",
                    code="AF814",
                )
            has_started = True
            pause = PAUSE_SECONDS if time.monotonic() - begun > STEADY_SECONDS else pause
            why = "has lost its scheduler" if code == LOST_CODE else f"has ended ({_ended(code)})"
            self._log("warning", f"the worker {why}; it is started again")
            self._asked.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        self._log("info", "the worker has stopped")
        return 0

    def _once(self) -> int:
        """Run the worker to its end, and return its exit code."""
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "aetherflow_dask.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which ends it in order
        )
        with process:
            if process.stdin is not None and process.stdout is not None:
                process.stdin.write(msgspec.json.encode(WorkerRole(self._request)) + b"\n")
                process.stdin.flush()
                if self._asked.is_set():
                    process.terminate()
                for line in process.stdout:
                    self._log("info", line.decode(errors="replace").rstrip())
            return process.wait()

    def _ask(self, _number: int, _frame: object) -> None:
        """End the worker in order; at once if it was asked before."""
        is_second = self._asked.is_set()
        self._asked.set()
        if self._process is not None:
            (self._process.kill if is_second else self._process.terminate)()

    def _end_with_input(self) -> None:
        while sys.stdin.buffer.readline():
            pass
        os.kill(os.getpid(), signal.SIGTERM)


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
