"""Send records in batches from a thread: what is given waits in a bounded queue, and a deadline ends it.

For observers. The thread is a daemon: no process waits for a receiver that does not answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

MOST_TRIES_AT_END = 2
"""How often a batch is tried at the end of a run, if the connection fails."""

LOOK_SECONDS = 0.05


class Sender(Protocol[T_contra]):
    """Sends a batch."""

    def __call__(self, batch: Sequence[T_contra], note: Callable[[str], None], /) -> bool:
        """Return whether the batch has arrived; call `note` for each try that failed, with the reason."""
        ...


class Outbox(Generic[T]):
    """Sends the records that an observer gives it.

    Args:
        send: sends a batch, in the thread of the outbox; what it raises is noted.
        stop: called at the end, once: closes what `send` uses, and makes one that still waits end soon.
        place: where to, for messages.
        size: how many records are a batch.
        delay_seconds: after this time fewer are sent, too.
        most_waiting: how many may wait; what is given beyond that is lost.

    Attributes:
        given: how many records it was given.
        lost: how many of them were not sent.
        reason: why not.
    """

    def __init__(
        self,
        send: Sender[T],
        *,
        place: str,
        stop: Callable[[], object] = lambda: None,
        size: int = 1,
        delay_seconds: float = 0,
        most_waiting: int = 10_000,
    ) -> None:
        self._send = send
        self._stop = stop
        self.place = place
        self.given = 0
        self.lost = 0
        self.reason = ""
        self._size = size
        self._pause = max(delay_seconds, LOOK_SECONDS)
        self._most_waiting = most_waiting
        self._tries = 0
        self._waiting: deque[T] = deque()
        self._sending = 0
        self._is_ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"send to {place}", daemon=True)
        self._thread.start()

    def put(self, records: Sequence[T]) -> None:
        """Let records be sent."""
        with self._changed:
            self.given += len(records)
            room = max(self._most_waiting - len(self._waiting), 0)
            self._waiting.extend(records[:room])
            if len(records) > room:
                self._lose(len(records) - room, "the receiver is too slow")
            if len(self._waiting) >= self._size:
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
        has_ended = not self._thread.is_alive()
        self._stop()
        if not has_ended:
            with self._changed:
                self._lose(self._sending + len(self._waiting), self.reason or "it did not answer in time")
                self._waiting.clear()
                self._sending = 0

    def loss(self, what: str) -> str:
        """Return which records, called `what`, were not sent, and why; empty: none is lost."""
        if not self.lost:
            return ""
        return f"{self.lost:,} of {self.given:,} {what} did not reach {self.place}: {self.reason}"

    def _note(self, reason: str) -> None:
        self._tries += 1
        self.reason = reason

    def _lose(self, count: int, reason: str) -> None:
        self.lost += count
        self.reason = self.reason or reason

    def _work(self) -> None:
        while batch := self._next():
            try:
                has_arrived = self._send(batch, self._note)
            except Exception as error:  # noqa: BLE001 - whatever a library raises, the run continues
                self._note(f"{type(error).__name__}: {error}")
                has_arrived = False
            with self._changed:
                if not has_arrived:
                    self._lose(self._sending, "it was refused")
                self._sending = 0

    def _next(self) -> list[T]:
        """Wait for the next batch; empty: there is no more."""
        with self._changed:
            while not self._is_ending and len(self._waiting) < self._size:
                if not self._changed.wait(self._pause) and self._waiting:
                    break
            count = min(len(self._waiting), self._size)
            self._sending = count
            return [self._waiting.popleft() for _ in range(count)]
