"""Where one attempt of a step runs: in this process, or on the worker of an executor that has begun it."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from aetherflow.events.run_events import place_text


class AttemptPlace:
    """Takes note of the worker that begins an attempt, once, and as long as the attempt goes on.

    Attributes:
        executor: the executor that the attempt was given to; empty: it runs in this process.
        worker: the worker that has begun it; empty while none has.
    """

    def __init__(self, executor: str, report: Callable[[AttemptPlace], None]) -> None:
        """Wait for a worker of the executor, if there is one; `report` is called when it begins."""
        self.executor = executor
        self.worker = ""
        self.host = ""
        self._report = report
        self._begun = anyio.Event()
        self._is_over = False
        if not executor:
            self._begun.set()

    @property
    def has_begun(self) -> bool:
        """Whether the attempt runs, or has run."""
        return self._begun.is_set()

    async def wait_until_begun(self) -> None:
        """Return when the attempt has begun."""
        await self._begun.wait()

    def begin(self, worker: str, host: str) -> None:
        """Note that a worker begins the attempt, or is found to run it still."""
        if not self.has_begun and not self._is_over:
            self.worker, self.host = worker, host
            self._begun.set()
            self._report(self)

    def close(self) -> None:
        """Note that the attempt has ended: nothing begins it any more."""
        self._is_over = True

    def __str__(self) -> str:
        if not self.executor:
            return ""
        return place_text(self.executor, self.worker, self.host) if self.worker else self.executor
