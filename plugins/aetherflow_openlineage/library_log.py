"""Keep what libraries log of a transport out of the log of the run: what fails is reported by its outbox."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = (
    "openlineage.client.transport.http",
    "openlineage.client.transport.file",
    "openlineage.client.utils",
    "urllib3.connectionpool",
)


class _OfThread(threading.local):
    is_sending = False


_of_thread = _OfThread()


class _NotWhileSending(logging.Filter):
    """Drops what the thread of an outbox logs; other threads may use these libraries for something else."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002 - it is about the thread
        """Whether the record is logged."""
        return not _of_thread.is_sending


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing of these libraries in this thread while the block runs."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, _NotWhileSending) for one in logger.filters):
            logger.addFilter(_NotWhileSending())
    _of_thread.is_sending = True
    try:
        yield
    finally:
        _of_thread.is_sending = False
