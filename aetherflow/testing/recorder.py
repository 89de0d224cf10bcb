"""An observer for tests: it records events, and lets a test wait for one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio

from aetherflow.events.run_events import Event, Notice, StepOutput

E = TypeVar("E", bound=Event)

WAIT_SECONDS = 10
"""How long `until` waits before the test fails."""


class Recorder:
    """An observer that records events in order.

    Attributes:
        events: all events so far.
        batches: the number of events of each call.
        closed: how often `aclose` was called.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.batches: list[int] = []
        self.closed = 0
        self._more = anyio.Event()

    async def __call__(self, events: Sequence[Event]) -> None:
        """Record a batch of events."""
        self.events += events
        self.batches.append(len(events))
        self._more.set()
        self._more = anyio.Event()

    async def aclose(self) -> None:
        """Count the calls."""
        self.closed += 1

    async def until(self, what: Callable[[Event], object]) -> Event:
        """Wait for an event for which `what` is true, and return it.

        Raises:
            TimeoutError: there was no such event within WAIT_SECONDS.
        """
        with anyio.fail_after(WAIT_SECONDS):
            while not (found := [event for event in self.events if what(event)]):
                await self._more.wait()
        return found[0]

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def logged(self) -> list[str]:
        """The messages that steps and the engine wrote to the log."""
        return [notice.message for notice in self.of(Notice)]

    @property
    def lines(self) -> list[str]:
        """The lines that programs of steps printed."""
        return [line.text for line in self.of(StepOutput)]
