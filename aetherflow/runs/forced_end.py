"""Exit the process although a run does not end: the last resort after a repeated signal.

It works from a thread: it needs neither an event loop that runs nor a step that passes on its cancellation.
The guardian ends the children, the leases lapse, and the runs can be resumed.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
from typing import Self

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: the process ended by force, and left runs behind."""

CODE = "AF659"

PRINT_SECONDS = 1.0
"""How long standard error may take to accept the last line."""


class ForcedEnd:
    """Exits the process with code 70 some time after a repeated signal, unless its `with` block ends first.

    Args:
        at_signal: the number of signals with which the time begins.
        seconds: how long it lasts.
        message: what is printed on standard error then.
    """

    def __init__(self, at_signal: int, seconds: float, message: str) -> None:
        self._seconds = seconds
        self._message = message
        self._awaited = at_signal
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True

    def count(self, _number: int = 0) -> None:
        """Note a signal; call it in the handler, where it counts also while the event loop is blocked."""
        self._awaited -= 1
        if self._awaited == 0:
            # No `threading.Thread`: a signal may come while the main thread holds the locks of that module.
            _thread.start_new_thread(self._count_down, ())

    def _count_down(self) -> None:
        time.sleep(self._seconds)
        if not self._is_over:
            _exit_now(self._message)


def _exit_now(message: str) -> None:
    text = f"error[{CODE}]: {message}\n"
    # In a thread of its own: a reader that stalls must not hold the last resort.
    printing = threading.Thread(target=os.write, args=(2, text.encode()), daemon=True)
    printing.start()
    printing.join(PRINT_SECONDS)
    os._exit(EXIT_CODE)
