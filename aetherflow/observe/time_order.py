"""Write the events of many runs in the order of their times; imports events, errors and a sink.

An observer gets an event when it is stored, and each run has a bus of its own. So an event may come after
later ones of other runs, or of other jobs of its run. A server holds what it gets for a moment, and writes it
sorted. The stored events of one job keep their order, also if the clock is put back, and a run begins before
them and ends after them. What takes longer to store comes late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from heapq import heappop, heappush
from itertools import groupby

import anyio

from aetherflow.errors import AetherFlowError
from aetherflow.events.run_events import TRANSIENT, Event, JobEvent, RunFinished, RunResumed, RunStarted
from aetherflow.observe.line_writer import OutputLostError
from aetherflow.observe.sink import Sink
from aetherflow.plugin_errors import is_our_cancellation, named
from aetherflow.ports import Observer

HOLD_SECONDS = 0.3
"""How long an event is held, so that earlier ones of other runs come before it."""

REST_SECONDS = 0.05
"""How long at least from one write to the next: few large batches cost much less than many small ones."""

MOST_HELD = 10_000
"""How many events are held at most; above that they are written at once, and who adds more waits."""

_BEGINNING, _NEWEST = "/beginning", "/newest"
"""Beside the ids of jobs, which have no slash: when a run began, and its newest event of a job."""

_NOTES_OF_EVENT = 2
"""How many times are noted for an event, at most."""

Write = Callable[[Sequence[Event]], None]
"""Writes events; called in the thread of the sink."""


class TimeOrder:
    """Holds the events that several observers write to one sink, and writes them in the order of their times.

    Args:
        sink: of the target that the observers share.
        hold: how long events are held, in seconds; default: HOLD_SECONDS.
    """

    def __init__(self, sink: Sink, hold: float | None = None) -> None:
        self._sink = sink
        self._hold = HOLD_SECONDS if hold is None else hold
        self._held: list[tuple[datetime, int, Write, Event]] = []
        self._arrivals: deque[tuple[float, datetime]] = deque()
        self._latest: dict[tuple[str, str], datetime] = {}
        self._count = 0
        self._is_closing = False
        self._lost = ""
        self._filled, self._pressing, self._written = anyio.Event(), anyio.Event(), anyio.Event()
        self._scope = anyio.CancelScope(shield=True)
        self._ended = anyio.Event()

    async def add(self, write: Write, events: Sequence[Event]) -> None:
        """Hold events, which `write` is to write; wait while too many are held.

        Raises:
            OutputLostError: the target cannot be written.
        """
        self._raise_lost()
        if self.is_over:
            await self._sink.call(write, events)
            return
        latest = None
        for event in events:
            at = self._place(event)
            latest = at if latest is None else max(at, latest)
            self._count += 1
            heappush(self._held, (at, self._count, write, event))
        if latest is not None:
            self._arrivals.append((anyio.current_time(), latest))
            self._filled.set()
        while len(self._held) > MOST_HELD and not self.is_over:
            self._pressing.set()
            await self._written.wait()
        self._raise_lost()

    async def run(self) -> None:
        """Write what has been held long enough, until the order is closed; no cancellation ends it."""
        try:
            with self._scope:
                while await self._wait() or self._held:
                    await self._write(self._ready())
        except BaseException as error:  # each observer raises it, and is detached
            if is_our_cancellation(error):
                raise
            self._lost = error.message if isinstance(error, AetherFlowError) else named(error)
            self._held.clear()
        finally:
            self._ended.set()
            self._written.set()

    async def aclose(self) -> None:
        """Write everything now, and nothing in order after that.

        Raises:
            OutputLostError: the target cannot be written.
        """
        self._is_closing = True
        self._filled.set()
        self._pressing.set()
        try:
            await self._ended.wait()
        finally:
            self._scope.cancel()
        self._raise_lost()

    @property
    def is_over(self) -> bool:
        """Whether nothing is held any more: it was closed, or the target is lost."""
        return self._ended.is_set()

    def closed_by(self, observer: Observer) -> Observer:
        """Return the observer, which closes the order when it is closed itself."""
        return _Closing(self, observer)

    def _raise_lost(self) -> None:
        if self._lost:
            raise OutputLostError(self._lost)

    def _place(self, event: Event) -> datetime:
        """Return the time by which an event is sorted: not before what must precede it, if that is held."""
        at, run, latest = event.at, event.run_id, self._latest
        if isinstance(event, RunStarted | RunResumed):
            latest[run, _BEGINNING] = latest[run, _NEWEST] = at
        elif isinstance(event, RunFinished):
            at = max(at, latest.get((run, _NEWEST), at))
        elif isinstance(event, JobEvent):
            job = event.job_id
            at = max(at, latest.get((run, job), at), latest.get((run, _BEGINNING), at))
            if not isinstance(event, TRANSIENT):
                latest[run, job] = at
                latest[run, _NEWEST] = max(at, latest.get((run, _NEWEST), at))
        return at

    async def _wait(self) -> bool:
        """Wait until there is something to write; return whether there may be more."""
        await self._filled.wait()
        await anyio.sleep(0 if self._is_closing else REST_SECONDS)
        if self._arrivals and not self._pressing.is_set():
            with anyio.move_on_after(self._arrivals[0][0] + self._hold - anyio.current_time()):
                await self._pressing.wait()
        return not self._is_closing

    def _ready(self) -> list[tuple[Write, list[Event]]]:
        """Take what is to be written now, sorted, in batches of one observer each."""
        taken = []
        if self._pressing.is_set():
            self._arrivals.clear()
            taken = [heappop(self._held) for _ in range(len(self._held))]
        until = anyio.current_time() - self._hold
        while self._arrivals and self._arrivals[0][0] <= until:
            _, latest = self._arrivals.popleft()
            while self._held and self._held[0][0] <= latest:
                taken.append(heappop(self._held))
        if not self._held:
            self._latest.clear()  # what comes now comes after all that was written
            self._arrivals.clear()
            if not self._is_closing:
                self._filled, self._pressing = anyio.Event(), anyio.Event()
        elif len(self._latest) > 2 * _NOTES_OF_EVENT * len(self._held):
            # Also a server that is never idle forgets: what is written precedes all that comes anyhow.
            oldest = self._held[0][0]
            self._latest = {name: at for name, at in self._latest.items() if at >= oldest}
        return [
            (write, [event for *_, event in batch]) for write, batch in groupby(taken, lambda one: one[2])
        ]

    async def _write(self, batches: list[tuple[Write, list[Event]]]) -> None:
        if batches:
            await self._sink.call(_write_all, batches)
        self._written.set()
        self._written = anyio.Event()


class _Closing:
    """An observer that closes an order before itself."""

    def __init__(self, order: TimeOrder, observer: Observer) -> None:
        self._order = order
        self._observer = observer

    async def __call__(self, events: Sequence[Event]) -> str | None:
        """Write a batch."""
        return await self._observer(events)

    async def aclose(self) -> None:
        """Write what the order holds, then close the observer."""
        try:
            await self._order.aclose()
        finally:
            await self._observer.aclose()


def _write_all(batches: list[tuple[Write, list[Event]]]) -> None:
    for write, events in batches:
        write(events)
