"""Write batches in a second thread, without Python's lock, while the first one fetches the next."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

WAITING = 2
"""How many batches may wait to be written."""


class WriteBehind(Generic[T]):
    """Calls a function for each batch, in order, in a `with` block; the first batch in this thread.

    The second thread is started for the second batch. What it raises is raised by the next `put`, or at the
    end of the block.
    """

    def __init__(self, write: Callable[[T], None]) -> None:
        self._write = write
        self._waiting: queue.Queue[T | None] = queue.Queue(WAITING)
        self._failure: BaseException | None = None
        self._is_over = False
        self._is_first = True
        self._thread: threading.Thread | None = None

    def put(self, batch: T) -> None:
        """Write a batch, at once or soon.

        Raises:
            Exception: what `write` raised for this batch or an earlier one.
        """
        if self._is_first:
            self._is_first = False
            self._write(batch)
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="write behind")
            self._thread.start()
        self._waiting.put(batch)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (batch := self._waiting.get()) is not None:
            if self._failure is None and not self._is_over:
                try:
                    self._write(batch)
                except BaseException as error:  # noqa: BLE001 - raised in the other thread
                    self._failure = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = error is not None
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
        if error is None and self._failure is not None:
            raise self._failure
