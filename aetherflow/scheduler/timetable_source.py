"""Create firings from timetables: wait until items are due, then have them decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from aetherflow.clock import Clock
from aetherflow.errors import StateError
from aetherflow.schedule.item import Item, Schedule
from aetherflow.scheduler.clock_ahead import CLOCK_BACK_SECONDS, ItemAhead
from aetherflow.scheduler.due_queue import DueQueue
from aetherflow.scheduler.firing_decision import FiringDecider
from aetherflow.scheduler.ports import FiringSink
from aetherflow.scheduler.server_clocks import StandsBy
from aetherflow.scheduler.wall_clock_timer import WallClockTimer

ITEMS_PER_TRANSACTION = 200
"""How many due items one transaction decides about: some milliseconds for which others may wait."""


class TimetableSource:
    """Fires the items of the current schedules when they are due.

    Attributes:
        due_queue: the next tick of each item.
    """

    def __init__(
        self,
        decider: FiringDecider,
        schedules: Mapping[str, Schedule],
        clock: Clock,
    ) -> None:
        self._decider = decider
        self._schedules = schedules
        self._clock = clock
        self.due_queue = DueQueue()
        self._timer = WallClockTimer(clock)
        self._clock_read: datetime | None = None
        self._held: dict[tuple[str, str], tuple[Item, datetime]] = {}

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
            StandsBy: the clock of the server is off; the items stay due.
        """
        await self._timer.wait(self.due_queue.next_due())
        await self.fire_due(sink)

    async def fire_due(self, sink: FiringSink) -> None:
        """Fire the items that are due now.

        Raises:
            StateError: the database cannot be used; the items stay due.
            StandsBy: the clock of the server is off; the items stay due.
        """
        while due := self.due_queue.pop_due(self._clock.now(), ITEMS_PER_TRANSACTION):
            due.sort(key=lambda one: one[0].scheduler)
            for _, group in groupby(due, key=lambda one: one[0].scheduler):
                try:
                    decided = await sink.fire(partial(self._decider.decide, due=list(group)))
                except (StateError, StandsBy):
                    self._put_back(due)
                    raise
                since = {(item.scheduler, item.id): at for item, at in due}
                for one in decided:
                    key = (one.item.scheduler, one.item.id)
                    if one.is_held:
                        self._held[key] = (one.item, since[key])
                    elif self._is_in_force(one.item):
                        self.due_queue.put(one.item, one.decided)

    def let_tick(self, may: Callable[[Item], bool]) -> None:
        """Let the items be due that were held by a pause, and may tick again."""
        free = [key for key, (item, _) in self._held.items() if may(item)]
        for key in free:
            self._put_back([self._held.pop(key)])  # since when it was due: the clock may be put back
        if free:
            self._timer.move()

    def clock_went_back(self) -> bool:
        """Whether the clock was set back since `note_clock`: items wait for a later tick than their next."""
        before = self._clock_read
        return before is not None and self._clock.now() < before - timedelta(seconds=CLOCK_BACK_SECONDS)

    def note_clock(self) -> None:
        """Remember what the clock shows."""
        self._clock_read = self._clock.now()

    def move_back(self, schedule: Schedule, ahead: Mapping[str, ItemAhead]) -> None:
        """Let items wait for their next tick after the time from which they are decided now."""
        for item in schedule.enabled:
            if item.id in ahead:
                self.due_queue.put(item, ahead[item.id].since)
        self._timer.move()

    def _put_back(self, due: Iterable[tuple[Item, datetime]]) -> None:
        """Let items stay due: nothing was decided about them."""
        for item, since in due:
            if self._is_in_force(item):
                self.due_queue.put_due(item, since)

    def _is_in_force(self, item: Item) -> bool:
        schedule = self._schedules.get(item.scheduler)
        return schedule is not None and schedule.items.get(item.id) is item
