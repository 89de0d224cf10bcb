"""Read and write the pauses of schedules: which items do not tick for a while, since when, by whom and why.

A pause that has ended stays for a day: ticks inside it that no server has decided yet are still skipped.
The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from aetherflow.store.projection import timestamp

EVERY_ITEM = ""
"""The item id of a pause of a whole file."""

STORED_FOR = timedelta(days=1)
"""How long a pause is stored after its end."""

Stage = Literal["new", "announced", "over"]
"""What servers have reported of a pause: nothing yet, its beginning, or its end."""


class Pause(msgspec.Struct, frozen=True):
    """A pause of an item, or of a whole file (`item_id` is empty); times are RFC 3339 in UTC.

    Attributes:
        until: when it ends by itself, or has ended; None: when somebody resumes it.
        resumed_by: who ended it before its time; empty if nobody did.
        stage: what has been reported of it.
    """

    scheduler: str
    item_id: str
    paused_at: str
    until: str | None
    reason: str
    paused_by: str
    resumed_by: str = ""
    stage: Stage = "new"

    @property
    def begin(self) -> datetime:
        """When it began."""
        return datetime.fromisoformat(self.paused_at)

    @property
    def end(self) -> datetime | None:
        """When it ends; None: when somebody resumes it."""
        return None if self.until is None else datetime.fromisoformat(self.until)

    def holds(self, now: datetime) -> bool:
        """Whether it has not ended."""
        return self.end is None or now < self.end

    def includes(self, at: datetime) -> bool:
        """Whether a time is in it."""
        return self.begin <= at and self.holds(at)

    def covers(self, item_id: str) -> bool:
        """Whether it is about an item."""
        return self.item_id in (EVERY_ITEM, item_id)


def read_pauses(raw: sqlite3.Connection, scheduler: str) -> list[Pause]:
    """Return the pauses of a schedule, in the order of their beginnings; also those that have ended."""
    rows = raw.execute(
        "SELECT scheduler, item_id, paused_at, until, reason, paused_by, resumed_by, stage FROM pauses "
        "WHERE scheduler = ? ORDER BY paused_at, item_id",
        (scheduler,),
    )
    return [Pause(*row) for row in rows]


def pauses_of(pauses: Iterable[Pause], item_id: str) -> list[Pause]:
    """Return the pauses that are about an item."""
    return [one for one in pauses if one.covers(item_id)]


def pause_in_force(pauses: Iterable[Pause], item_id: str, now: datetime) -> Pause | None:
    """Return the pause that an item is in now: of several, the one that ends last; None without one."""
    holding = [one for one in pauses if one.covers(item_id) and one.holds(now)]
    return max(holding, key=lambda one: (one.end is None, one.until or ""), default=None)


def put_pause(raw: sqlite3.Connection, pause: Pause, now: datetime) -> Pause:
    """Store a pause; one that holds already gets the new end and reason, and keeps its beginning."""
    held = [
        one for one in read_pauses(raw, pause.scheduler) if one.item_id == pause.item_id and one.holds(now)
    ]
    stored = msgspec.structs.replace(pause, paused_at=held[0].paused_at) if held else pause
    raw.execute(
        "INSERT OR REPLACE INTO pauses "
        "(scheduler, item_id, paused_at, until, reason, paused_by, resumed_by, stage) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        msgspec.structs.astuple(stored),
    )
    return stored


def end_pause(raw: sqlite3.Connection, pause: Pause, by: str, now: datetime) -> None:
    """End a pause before its time."""
    raw.execute(
        "UPDATE pauses SET until = ?, resumed_by = ? WHERE scheduler = ? AND item_id = ?",
        (timestamp(max(now, pause.begin)), by, pause.scheduler, pause.item_id),
    )


def to_report(pauses: Sequence[Pause], now: datetime) -> list[Pause]:
    """Return the pauses whose beginning or end no server has reported, or that may be deleted."""
    return [
        one
        for one in pauses
        if (one.stage == "new")
        or (one.stage == "announced" and not one.holds(now))
        or (one.stage == "over" and one.end is not None and one.end < now - STORED_FOR)
    ]


def advance(raw: sqlite3.Connection, pause: Pause, now: datetime) -> None:
    """Store that the beginning or the end of a pause is reported; delete one that ended long ago."""
    key = (pause.scheduler, pause.item_id)
    if pause.stage == "over":
        raw.execute("DELETE FROM pauses WHERE scheduler = ? AND item_id = ?", key)
        return
    stage: Stage = "announced" if pause.holds(now) else "over"
    raw.execute("UPDATE pauses SET stage = ? WHERE scheduler = ? AND item_id = ?", (stage, *key))
