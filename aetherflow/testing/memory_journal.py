"""A journal in memory, for tests: the port `DurableSubscriber` without a database."""

from __future__ import annotations

from collections.abc import Sequence

from aetherflow.errors import AetherFlowError
from aetherflow.events.run_events import Event


class MemoryJournal:
    """Implements `aetherflow.ports.DurableSubscriber` for one run.

    Attributes:
        events: the committed events, in order.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._failure: AetherFlowError | None = None

    async def commit(self, events: Sequence[Event]) -> None:
        """Store the events.

        Raises:
            AetherFlowError: the error that was passed to `fail`; nothing is stored.
        """
        if self._failure is not None:
            raise self._failure
        self.events += events

    def fail(self, error: AetherFlowError) -> None:
        """Let every later commit raise this error."""
        self._failure = error
