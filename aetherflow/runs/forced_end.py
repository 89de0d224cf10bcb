"""Exit the process although a run does not end: the last resort after a repeated signal.

It works from a thread: it needs neither an event loop that runs nor a step that passes on its cancellation.
The guardian ends the children, the leases lapse, and the runs can be resumed.
"""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Mapping
from typing import Self

from aetherflow import stop_signals

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: the process ended by force, and left runs behind."""

CODE = "AF659"
DONE_CODE = "AF121"

PRINT_SECONDS = 1.0
"""How long standard error may take to accept the last line."""

ORDINALS = {2: "second", 3: "third"}


class ForcedEnd:
    """Exits the process some time after a repeated signal, unless its `with` block ends first.

    A command ends with its run or server: there the time also holds for what follows the block, such as the
    end of the event loop, threads that a step has left, and a last line that nobody reads.

    Args:
        seconds: how long the process may take, by the number of the signal with which that time begins.
        subject: what did not end, for the line on standard error.
        then: what happens now, for that line.
    """

    def __init__(self, seconds: Mapping[int, float], subject: str, then: str) -> None:
        self._seconds = seconds
        self._subject = subject
        self._then = then
        self._signals = 0
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True

    def count(self, _number: int = 0) -> None:
        """Note a signal; call it in the handler, where it counts also while the event loop is blocked."""
        self._signals += 1
        stop_signals.note_request()
        if self._signals in self._seconds:
            # No `threading.Thread`: a signal may come while the main thread holds the locks of that module.
            _thread.start_new_thread(self._count_down, (self._signals,))

    def _count_down(self, number: int) -> None:
        seconds = self._seconds[number]
        time.sleep(seconds)
        over = f"{seconds:g} s after a {ORDINALS[number]} signal"
        if not self._is_over:
            _exit_now(f"error[{CODE}]: {self._subject} did not end within {over}; {self._then}", EXIT_CODE)
        elif stop_signals.is_command():
            code = stop_signals.final_exit_code()
            _exit_now(
                f"warning[{DONE_CODE}]: the process did not end within {over}, although its work is over: "
                "its event loop, a thread or its output is blocked; it exits now",
                EXIT_CODE if code is None else code,
            )


def _exit_now(message: str, exit_code: int) -> None:
    # In a thread of its own: a reader that stalls must not hold the last resort.
    printed = _thread.allocate_lock()
    printed.acquire()
    _thread.start_new_thread(_print, (f"{message}\n".encode(), printed))
    printed.acquire(timeout=PRINT_SECONDS)
    os._exit(exit_code)


def _print(text: bytes, printed: _thread.LockType) -> None:
    try:
        os.write(2, text)
    finally:
        printed.release()
