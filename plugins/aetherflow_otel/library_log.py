"""Learn from the log of the OpenTelemetry library why a batch did not arrive, and print nothing of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOGGER = "opentelemetry"


class _OfThread(threading.local):
    note: Callable[[str], None] | None = None


_of_thread = _OfThread()


class _Reasons(logging.Handler):
    """Takes what the library logs in the thread of an outbox."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note why a batch did not arrive."""
        if _of_thread.note is not None and record.levelno >= logging.WARNING:
            _of_thread.note(_reason(record))


@contextmanager
def noting(note: Callable[[str], None]) -> Iterator[None]:
    """Pass the reasons that the library logs in this thread to a function."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _Reasons) for handler in logger.handlers):
        logger.addHandler(_Reasons())
        logger.propagate = False
    _of_thread.note = note
    try:
        yield
    finally:
        _of_thread.note = None


def _reason(record: logging.LogRecord) -> str:
    """Return why, in few words: of a chain of exceptions the innermost."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    error = next((one for one in arguments if isinstance(one, BaseException)), None)
    if error is None:
        return record.getMessage()
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)
