"""Read and write the items of schedules: their definition, and up to which time their ticks are decided.

The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from aetherflow.store.projection import timestamp


def decided_to(raw: sqlite3.Connection, scheduler: str, item_ids: Sequence[str]) -> dict[str, datetime]:
    """Return the time up to which the ticks of each item are decided; unknown items are left out."""
    found: dict[str, datetime] = {}
    for item_id in item_ids:
        row = raw.execute(
            "SELECT decided_to FROM schedule_items WHERE scheduler = ? AND item_id = ?", (scheduler, item_id)
        ).fetchone()
        if row is not None:
            found[item_id] = datetime.fromisoformat(row[0])
    return found


def known_items(raw: sqlite3.Connection, scheduler: str) -> dict[str, tuple[str, datetime]]:
    """Return the known items, each with its definition and the time up to which its ticks are decided."""
    rows = raw.execute(
        "SELECT item_id, definition, decided_to FROM schedule_items WHERE scheduler = ?", (scheduler,)
    )
    return {item_id: (definition, datetime.fromisoformat(at)) for item_id, definition, at in rows}


def register_items(
    raw: sqlite3.Connection, scheduler: str, items: Mapping[str, tuple[str, datetime]]
) -> dict[str, datetime]:
    """Store items with their definition and start time; return the time up to which each is decided.

    An unchanged item keeps its time; a new or redefined item begins at its start time.
    """
    known = known_items(raw, scheduler)
    result: dict[str, datetime] = {}
    fresh: list[tuple[str, str, str, str]] = []
    for item_id, (definition, since) in items.items():
        if item_id in known and known[item_id][0] == definition:
            result[item_id] = known[item_id][1]
        else:
            result[item_id] = since
            fresh.append((scheduler, item_id, definition, timestamp(since)))
    raw.executemany("INSERT OR REPLACE INTO schedule_items VALUES (?, ?, ?, ?)", fresh)
    return result


def items_decided_after(raw: sqlite3.Connection, scheduler: str, at: datetime) -> dict[str, datetime]:
    """Return the items whose ticks are decided up to a time later than `at`, each with that time."""
    rows = raw.execute(
        "SELECT item_id, decided_to FROM schedule_items WHERE scheduler = ? AND decided_to > ?",
        (scheduler, timestamp(at)),
    )
    return {item_id: datetime.fromisoformat(decided) for item_id, decided in rows}


def set_decided_to(raw: sqlite3.Connection, scheduler: str, items: Iterable[tuple[str, datetime]]) -> None:
    """Store the time up to which the ticks of items are decided."""
    raw.executemany(
        "UPDATE schedule_items SET decided_to = ? WHERE scheduler = ? AND item_id = ?",
        [(timestamp(at), scheduler, item_id) for item_id, at in items],
    )
