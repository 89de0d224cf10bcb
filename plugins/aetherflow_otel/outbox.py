"""Send records in batches from a thread: what is given waits in a bounded queue, and a deadline ends it.

The thread is a daemon: no process waits for a collector that does not answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from aetherflow_otel.otel_variables import Batching

T = TypeVar("T")

LOGGER = "opentelemetry"
MOST_TRIES_AT_END = 2
"""How often a batch is tried at the end of a run if the connection fails."""
LOOK_SECONDS = 0.05


class Outbox(Generic[T]):
    """Sends records.

    Args:
        export: sends a batch, and returns whether it arrived; it logs why not.
        stop: makes `export` end soon.
        batching: how they are sent.
        place: where to, for messages.

    Attributes:
        lost: how many were not sent.
        reason: why not.
    """

    def __init__(
        self,
        export: Callable[[Sequence[T]], bool],
        stop: Callable[[], object],
        batching: Batching,
        place: str,
    ) -> None:
        self._export = export
        self._stop = stop
        self._batching = batching
        self.place = place
        self.lost = 0
        self.reason = ""
        self._tries = 0
        self._waiting: deque[T] = deque()
        self._sending = 0
        self._is_ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"export to {place}", daemon=True)
        self._thread.start()

    def put(self, records: Sequence[T]) -> None:
        """Let records be sent; if too many wait, they are lost."""
        with self._changed:
            room = self._batching.most_waiting - len(self._waiting)
            self._waiting.extend(records[:room])
            if len(records) > room:
                self._lose(len(records) - room, "the receiver is too slow")
            if len(self._waiting) >= self._batching.size:
                self._changed.notify()

    def end(self) -> None:
        """Send what waits now; nothing more is given."""
        with self._changed:
            self._is_ending = True
            self._tries = MOST_TRIES_AT_END - 1 if self.lost else 0
            self._changed.notify()

    def finish(self, deadline: float) -> None:
        """Return when all is sent, at the latest at this time (`time.monotonic`); the rest is lost."""
        self.end()
        while self._thread.is_alive() and time.monotonic() < deadline and self._tries < MOST_TRIES_AT_END:
            self._thread.join(LOOK_SECONDS)
        if self._thread.is_alive():
            self._stop()
            with self._changed:
                self._lose(self._sending + len(self._waiting), self.reason or "it did not answer in time")
                self._waiting.clear()
                self._sending = 0

    def note(self, reason: str) -> None:
        """Note why a batch did not arrive; it may be tried again."""
        self._tries += 1
        self.reason = reason

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        self.reason = self.reason or reason

    def _work(self) -> None:
        _of_thread.outbox = self
        while batch := self._next():
            try:
                has_arrived = self._export(batch)
            except Exception as error:  # noqa: BLE001 - whatever a library raises, the run continues
                self.note(f"{type(error).__name__}: {error}")
                has_arrived = False
            with self._changed:
                if not has_arrived:
                    self._lose(self._sending, "it was refused")
                self._sending = 0

    def _next(self) -> list[T]:
        """Wait for the next batch; empty: there is no more."""
        pause = max(self._batching.delay_seconds, LOOK_SECONDS)
        with self._changed:
            while not self._is_ending and len(self._waiting) < self._batching.size:
                if not self._changed.wait(pause) and self._waiting:
                    break
            count = min(len(self._waiting), self._batching.size)
            self._sending = count
            return [self._waiting.popleft() for _ in range(count)]


class _OfThread(threading.local):
    outbox: Outbox[Any] | None = None


_of_thread = _OfThread()


class _Reasons(logging.Handler):
    """Takes what the library logs in the thread of an outbox; nothing of it is printed."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note why a batch did not arrive."""
        if _of_thread.outbox is not None and record.levelno >= logging.WARNING:
            _of_thread.outbox.note(_reason(record))


def _reason(record: logging.LogRecord) -> str:
    """Return why, in few words: of a chain of exceptions the innermost."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    error = next((one for one in arguments if isinstance(one, BaseException)), None)
    if error is None:
        return record.getMessage()
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)


def listen_to_the_library() -> None:
    """Let outboxes learn why a batch did not arrive, and print nothing of it; once in a process."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _Reasons) for handler in logger.handlers):
        logger.addHandler(_Reasons())
        logger.propagate = False
