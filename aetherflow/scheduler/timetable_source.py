"""Create firings from timetables: wait until items are due, then have them decided."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.due_queue import DueQueue
from aetherflow.scheduler.firing_decision import CLOCK_BACK_SECONDS, FiringDecider
from aetherflow.scheduler.ports import FiringSink
from aetherflow.scheduler.wall_clock_timer import WallClockTimer

ITEMS_PER_TRANSACTION = 200
"""How many due items one transaction decides about: some milliseconds for which others may wait."""


class TimetableSource:
    """Fires the items of the current schedules when they are due.

    Attributes:
        due_queue: the next tick of each item.
    """

    def __init__(self, decider: FiringDecider, schedules: Mapping[str, Schedule], clock: Clock) -> None:
        self._decider = decider
        self._schedules = schedules
        self._clock = clock
        self.due_queue = DueQueue()
        self._timer = WallClockTimer(clock)
        self._clock_read: datetime | None = None

    def put(self, old: Schedule | None, new: Schedule, decided: Mapping[str, datetime]) -> None:
        """Replace a schedule: from now on fire only the items of the new one.

        `decided` says, by item, up to when its ticks have been decided.
        """
        if old is not None:
            self.due_queue.remove(old)
        for item in new.enabled:
            self.due_queue.put(item, decided[item.id])
        self._timer.move()

    async def fire_next(self, sink: FiringSink) -> None:
        """Wait until items are due, and fire them.

        Raises:
            StateError: the database cannot be used; the items stay due.
        """
        await self._timer.wait(self.due_queue.next_due())
        await self.fire_due(sink)

    async def fire_due(self, sink: FiringSink) -> None:
        """Fire the items that are due now.

        Raises:
            StateError: the database cannot be used; the items stay due.
        """
        while due := self.due_queue.pop_due(self._clock.now(), ITEMS_PER_TRANSACTION):
            due.sort(key=lambda item: item.scheduler)
            for _, group in groupby(due, key=lambda item: item.scheduler):
                try:
                    decided = await sink.fire(partial(self._decider.decide, items=list(group)))
                except StateError:
                    self._put_back(due)
                    raise
                for one in decided:
                    if self._is_in_force(one.item):
                        self.due_queue.put(one.item, one.decided)

    def check_clock(self) -> None:
        """If the clock was set back, let every item be due: its next tick is before the one it waits for."""
        now, before = self._clock.now(), self._clock_read
        self._clock_read = now
        if before is None or now >= before - timedelta(seconds=CLOCK_BACK_SECONDS):
            return
        for schedule in self._schedules.values():
            for item in schedule.enabled:
                self.due_queue.put_due(item, now)
        self._timer.move()

    def _put_back(self, items: Iterable[Item]) -> None:
        """Let items stay due: nothing was decided about them."""
        for item in items:
            if self._is_in_force(item):
                self.due_queue.put_due(item, self._clock.now())

    def _is_in_force(self, item: Item) -> bool:
        schedule = self._schedules.get(item.scheduler)
        return schedule is not None and schedule.items.get(item.id) is item
