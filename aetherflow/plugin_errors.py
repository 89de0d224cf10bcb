"""Distinguish a plugin's own exceptions from the cancellation of its caller, and read what they say.

Not all of them are an `Exception`: `sys.exit()`, a `GeneratorExit`, the panic of a library written in Rust,
the `CancelledError` of a task that the code itself cancelled. Passed on, they would end the event loop and
so everybody's runs.
"""

from __future__ import annotations

import math
import threading


def is_our_cancellation(error: BaseException) -> bool:
    """Whether an exception is no failure of the code that raised it, but our own end: it must pass.

    That is a cancellation of a scope around the caller, and Ctrl-C where Python itself raises it: in the main
    thread, without an event loop, under its own signal handler.
    """
    if isinstance(error, Exception):
        return False
    import anyio  # noqa: PLC0415 - slow, and most commands need it not

    try:
        cancelled = anyio.get_cancelled_exc_class()
    except anyio.NoEventLoopError:
        return isinstance(error, KeyboardInterrupt) and _may_be_interrupted()
    return isinstance(error, cancelled) and anyio.current_effective_deadline() == -math.inf


def _may_be_interrupted() -> bool:
    import signal  # noqa: PLC0415 - only for a KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    return handler is signal.default_int_handler and threading.current_thread() is threading.main_thread()


def text_of(error: BaseException) -> str:
    """Return the text of an exception; a plugin's `__str__` may raise anything, or return no text."""
    try:
        return str(error)
    except BaseException as failure:
        if is_our_cancellation(failure):
            raise
        return f"its text cannot be read ({type(failure).__name__})"


def named(error: BaseException) -> str:
    """Return the type of an exception and its text, if it has one."""
    text = text_of(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
