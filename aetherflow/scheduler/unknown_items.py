"""Handle firings of items that this server's file lacks, as another server's file may have them.

While the files of two servers differ, as when they are brought to a new version one after the other, each
leaves to the other what only that one knows. A server that is alone with the file closes such firings at
once; if there are other servers and none of them takes a firing for a while, no server knows its item.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from aetherflow.schedule.item import Schedule
from aetherflow.store.firings import open_firings
from aetherflow.store.served_files import is_alive, is_served_by_others

PATIENCE = timedelta(seconds=60)
"""How long firings without a live server are left to servers that may know their items."""


class UnknownItems:
    """Since when firings of unknown items have had no live server, by schedule."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[int, datetime]] = {}

    def left_to_others(
        self, raw: sqlite3.Connection, schedule: Schedule, server: str, now: datetime
    ) -> set[int]:
        """Return the ids of the open firings that this server neither takes nor closes."""
        unknown = [
            firing.firing_id
            for firing in open_firings(raw, schedule.id)
            if firing.item_id not in schedule.items
            and (firing.server in ("", server) or not is_alive(raw, firing.server, now))
        ]
        seen = self._seen.pop(schedule.id, {})
        if not unknown or not is_served_by_others(raw, schedule.id, server, now):
            return set()
        self._seen[schedule.id] = {number: min(seen.get(number, now), now) for number in unknown}
        return {number for number, since in self._seen[schedule.id].items() if now - since < PATIENCE}
