"""Exit the process although a run does not end: the last resort after a repeated signal.

It works from a thread: it needs neither an event loop that runs nor a step that passes on its cancellation.
The guardian ends the children, the leases lapse, and the runs can be resumed.
"""

from __future__ import annotations

import os
import threading
from typing import Self

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h: the process ended by force, and left runs behind."""

CODE = "AF659"

PRINT_SECONDS = 1.0
"""How long standard error may take to accept the last line."""


class ForcedEnd:
    """Exits the process with code 70 some time after `begin`, unless its `with` block has ended by then.

    Args:
        seconds: how long after `begin`.
        message: what is printed on standard error then.
    """

    def __init__(self, seconds: float, message: str) -> None:
        self._timer = threading.Timer(seconds, _exit_now, [message])
        self._timer.daemon = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def begin(self) -> None:
        """Start the countdown, once."""
        if self._timer.ident is None:
            self._timer.start()


def _exit_now(message: str) -> None:
    text = f"error[{CODE}]: {message}\n"
    # In a thread of its own: a reader that stalls must not hold the last resort.
    printing = threading.Thread(target=os.write, args=(2, text.encode()), daemon=True)
    printing.start()
    printing.join(PRINT_SECONDS)
    os._exit(EXIT_CODE)
