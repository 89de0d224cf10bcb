"""Distinguish a plugin's own exceptions from the cancellation of its caller, which must pass through.

Not all of that is an `Exception`: `sys.exit()`, the panic of a library written in Rust, the `CancelledError`
of a task that the code itself cancelled. Passed on, it would end the event loop and so everybody's runs.
"""

from __future__ import annotations

import math
import threading


def is_our_cancellation(error: BaseException) -> bool:
    """Whether an exception is no failure of the code that raised it, but our own end: it must pass.

    That is a cancellation of a scope around the caller, and Ctrl-C where no event loop takes the signal.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, GeneratorExit):
        return True
    import anyio  # noqa: PLC0415 - slow, and most commands need it not

    try:
        cancelled = anyio.get_cancelled_exc_class()
    except anyio.NoEventLoopError:
        return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()
    return isinstance(error, cancelled) and anyio.current_effective_deadline() == -math.inf
