"""Queue events between the bus and one observer, up to a limit; imports only events and anyio."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import anyio

from aetherflow.events.run_events import Event, StepOutput

QUEUE_EVENTS = 10_000
"""How many events an observer may be behind."""

REGAINED = 100
"""After this many seconds without waiting, one more second of patience."""

RESERVE = 10
"""Output lines leave the last tenth of a queue free, so that they crowd out no warning and no event."""


class BoundedQueue:
    """A bounded queue between the bus and one observer, which takes all events at once.

    Args:
        capacity: how many events fit in.
        patience: how long `put` may wait in all, in seconds; while it does not wait, a hundredth of the time
            is added again, up to that.
    """

    def __init__(self, capacity: int = QUEUE_EVENTS, patience: float = math.inf) -> None:
        self.capacity = capacity
        self.dropped = 0
        self.closed = False
        self._events: deque[Event] = deque()
        self._filled = anyio.Event()
        self._emptied = anyio.Event()
        self._pressing = anyio.Event()
        self._patience_ends = math.inf
        self._patience = self._most_patience = patience
        self._waited_at = -math.inf

    @property
    def room(self) -> int:
        """How many more events fit in."""
        return self.capacity - len(self._events)

    def offer(self, events: Sequence[Event]) -> None:
        """Put in what fits; count the rest as dropped."""
        room = self.room
        if events and isinstance(events[0], StepOutput):  # lines come alone, never in a batch with others
            room = max(room - self.capacity // RESERVE, 0)
        self._put(events[:room])
        self.dropped += max(len(events) - room, 0)

    async def put(self, events: Sequence[Event]) -> None:
        """Put in everything; wait while the queue is full, as long as `hurry` and `patience` allow."""
        done = 0
        while done < len(events) and not self.closed:
            if room := self.room:
                self._put(events[done : done + room])
                done += room
            elif not await self._wait_for_room():
                self.dropped += len(events) - done
                return

    async def _wait_for_room(self) -> bool:
        """Wait until the queue is emptied; return whether there was still time to wait."""
        began = anyio.current_time()
        self._patience = min(self._patience + (began - self._waited_at) / REGAINED, self._most_patience)
        until = min(self._patience_ends, began + self._patience)
        if began >= until:
            self._waited_at = began
            return False
        with anyio.CancelScope(deadline=until):
            await self._emptied.wait()
        self._waited_at = anyio.current_time()
        self._patience -= self._waited_at - began
        return True

    def hurry(self, until: float) -> None:
        """Wait for room only until then (time of the event loop); drop and count what does not fit later."""
        self._patience_ends = min(until, self._patience_ends)
        self._wake_putters()

    def close(self) -> None:
        """Refuse further events; a waiting `take` or `put` returns."""
        self.closed = True
        self._filled.set()
        self._pressing.set()
        self._emptied.set()

    async def take(self) -> list[Event]:
        """Return all events, at least one; an empty list when the queue is closed and empty."""
        while not self._events and not self.closed:
            await self._filled.wait()
        events = list(self._events)
        self._events.clear()
        if not self.closed:
            self._filled, self._pressing = anyio.Event(), anyio.Event()
        self._wake_putters()
        return events

    async def rest(self, seconds: float) -> None:
        """Wait for some seconds, but not while the queue is full or closed."""
        with anyio.move_on_after(seconds):
            await self._pressing.wait()

    def _wake_putters(self) -> None:
        self._emptied.set()
        self._emptied = anyio.Event()

    def _put(self, events: Sequence[Event]) -> None:
        if self.closed or not events:
            return
        self._events.extend(events)
        self._filled.set()
        if not self.room:
            self._pressing.set()
