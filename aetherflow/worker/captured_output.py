"""Capture what the steps of a worker print and log, as a command does: while any attempt runs there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aetherflow.plugin_output import captured, is_capturing

_lock = threading.Lock()
_capture = ExitStack()
_attempts = 0


@contextmanager
def output_captured() -> Iterator[None]:
    """Capture the output of this process in a block, together with the blocks of other threads.

    Nothing is done in a process that captures it already, such as that of `aetherflow worker`.
    """
    global _attempts  # noqa: PLW0603 - the streams are those of the process
    with _lock:
        is_counted = _attempts > 0 or not is_capturing()
        if is_counted:
            if not _attempts:
                _capture.enter_context(captured())
            _attempts += 1
    try:
        yield
    finally:
        with _lock:
            if is_counted:
                _attempts -= 1
                if not _attempts:
                    _capture.close()
