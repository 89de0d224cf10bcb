"""Find the item that is due next: a heap of the next tick of each item, fast for thousands of items."""

from __future__ import annotations

import heapq
from datetime import datetime

from aetherflow.schedule.item import Item, Schedule
from aetherflow.schedule.timetable import due_at, next_tick

Key = tuple[str, str]


class DueQueue:
    """The next tick of every item; a replaced entry stays in the heap until it is at the top."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Key]] = []
        self._numbers: dict[Key, int] = {}
        self._items: dict[Key, Item] = {}
        self._counter = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, item: Item, decided: datetime) -> None:
        """Note when the first tick later than `decided` is due; an item without further ticks is left out."""
        key = (item.scheduler, item.id)
        tick = next_tick(item.table, decided)
        if tick is None:
            self._numbers.pop(key, None)
            self._items.pop(key, None)
            return
        self.put_due(item, due_at(item.table, tick))

    def put_due(self, item: Item, due: datetime) -> None:
        """Let an item be due at a time."""
        key = (item.scheduler, item.id)
        self._counter += 1
        self._numbers[key] = self._counter
        self._items[key] = item
        heapq.heappush(self._heap, (due, self._counter, key))

    def remove(self, schedule: Schedule) -> None:
        """Forget the items of a schedule."""
        for name in schedule.items:
            self._numbers.pop((schedule.id, name), None)
            self._items.pop((schedule.id, name), None)

    def next_due(self) -> datetime | None:
        """Return when the next tick is due; None if there are no further ticks."""
        while self._heap and self._numbers.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: datetime, most: int) -> list[tuple[Item, datetime]]:
        """Take out the items that are due, each with its time, `most` at most; the caller puts each back."""
        due: list[tuple[Item, datetime]] = []
        while len(due) < most and (at := self.next_due()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._numbers[key]
            due.append((self._items.pop(key), at))
        return due
