"""Show what is said about a run before it has begun, if that takes longer than a moment, or fails.

Until its first event is stored a run has no bus, and its observers know nothing of it. What is said in that
time usually waits for them. But who waits for a cluster wants to know for what, and so does who reads why a
run could not begin.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from msgspec.structs import replace

from aetherflow.events.event_factory import EventFactory
from aetherflow.events.run_events import Notice
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.plugin_output import Level
from aetherflow.ports import Observer
from aetherflow.runs.ports import ObserverSpec
from aetherflow.task_errors import one_error

QUIET_SECONDS = 2.0
"""So long everything waits for the run; then it is shown at once."""

SHOW_SECONDS = 2.0
"""How long the end waits for a reader that takes nothing."""


class EarlyNotices:
    """The notices of the time before a run, each of which is shown once: early, or with the run."""

    def __init__(self, observers: Sequence[ObserverSpec], events: EventFactory) -> None:
        """Begin without any; `observers` are those of the run, of which some show early notices."""
        self._specs = [spec for spec in observers if spec.early is not None]
        self._events = events
        self._observers: list[Observer] | None = None
        self._waiting: list[Notice] = []
        self._added = anyio.Event()
        self._number = 0

    def add(self, level: Level, text: str) -> None:
        """Take a notice; called on the event loop."""
        self._waiting.append(self._events.notice(level, text))
        self._added.set()

    def take(self) -> list[Notice]:
        """Return those that were not shown, for the run to show them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    @asynccontextmanager
    async def shown_if_slow(self) -> AsyncIterator[None]:
        """Show what is said in a block that takes long, and what was said in one that fails."""
        async with one_error() as tasks:
            tasks.start_soon(self._show_all_along)
            try:
                yield
            except Exception:
                with anyio.move_on_after(SHOW_SECONDS, shield=True):
                    await self._show()
                raise
            tasks.cancel_scope.cancel()

    async def _show_all_along(self) -> None:
        await anyio.sleep(QUIET_SECONDS)
        while True:
            await self._show()
            self._added = anyio.Event()
            await self._added.wait()

    async def _show(self) -> None:
        if not self._specs or not (waiting := self.take()):
            return
        if self._observers is None:
            self._observers = [spec.early() for spec in self._specs if spec.early is not None]
        numbered = []
        for notice in waiting:
            self._number += 1
            numbered.append(replace(notice, sub_seq=self._number))
        for observer in list(self._observers):
            try:
                await observer(numbered)
            except BaseException as error:  # its stream is gone: the observer of the run will report that
                if is_our_cancellation(error):
                    raise
                self._observers.remove(observer)
