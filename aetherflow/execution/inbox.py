"""The queue through which the tasks of a run report events to its executor. Imports only events and anyio."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import anyio.lowlevel

from aetherflow.events.run_events import Event


class Inbox:
    """An unbounded queue whose `take` returns all events; it holds no more events than tasks run."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._filled = anyio.Event()
        self._uncommitted: dict[int, Callable[[], object]] = {}
        self._is_closed = False

    def post(self, event: Event, then: Callable[[], object] | None = None) -> None:
        """Leave a report; never waits. `then` is called when it is durable."""
        if then is not None:
            self._uncommitted[id(event)] = then
        self._events.append(event)
        self._filled.set()

    def post_first(self, event: Event) -> bool:
        """Leave a report that changes nothing, before all others: one of those may end the run.

        Returns:
            False if nobody takes reports any more.
        """
        if not self._is_closed:
            self._events.insert(0, event)
            self._filled.set()
        return not self._is_closed

    def close(self) -> list[Event]:
        """Let nobody take reports from now on; return those that nobody has taken."""
        self._is_closed = True
        return self.take_now()

    async def commit(self, event: Event) -> None:
        """Leave a report and return when it is durable."""
        committed = anyio.Event()
        self.post(event, committed.set)
        await committed.wait()

    def wake(self) -> None:
        """Make a waiting `take` return, with nothing if there is nothing."""
        self._filled.set()

    async def take(self, *, expects_more: bool = False) -> list[Event]:
        """Wait for reports and return all there are, in order.

        If it `expects_more`, it waits for as long as each round of the event loop brings another, so that
        more share a commit: those whose reports are taken report nothing more before that is durable.
        """
        await self._filled.wait()
        known = 0
        while expects_more and known < len(self._events):
            known = len(self._events)
            await anyio.lowlevel.checkpoint()
        return self.take_now()

    def take_now(self) -> list[Event]:
        """Return all reports there are, in order."""
        events, self._events = self._events, []
        self._filled = anyio.Event()
        return events

    def committed(self, reports: Sequence[Event]) -> None:
        """Let those continue who wait until their reports are durable."""
        for report in reports if self._uncommitted else ():
            if (then := self._uncommitted.pop(id(report), None)) is not None:
                then()
