"""Read, move, set and delete high-water marks. The functions work inside a transaction of the caller.

A step moves its marks in the transaction that stores its success. People set them in between; what a step
has read before that no longer counts, so its move is dropped (`set_count`). A mark that was deleted keeps its
row, without a value, for the same reason.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

from aetherflow.errors import StepError
from aetherflow.events.marks import Mark, MarkUse
from aetherflow.ports import StoredMark
from aetherflow.store.database import Database
from aetherflow.store.projection import MarkMove, timestamp


class MarkRow(msgspec.Struct, frozen=True):
    """One mark: its value, and who moved it last, when.

    Attributes:
        run_id: the run whose step moved it, with `job_id` and `step_id`; empty if a person set it.
        set_by: the person who set it; empty if a step moved it.
    """

    flow_id: str
    name: str
    type: str
    value: str
    moved_at: str
    run_id: str
    job_id: str
    step_id: str
    set_by: str


class MarkMoved(msgspec.Struct, frozen=True):
    """How one step of a run used a mark, as far as the run is still stored."""

    run_id: str
    job_id: str
    step_id: str
    at: str
    before: Mark | None = None
    after: Mark | None = None


class MarkTable(msgspec.Struct, frozen=True):
    """The marks of one flow, for its runs."""

    database: Database
    flow_id: str

    async def read(self, name: str) -> StoredMark:
        """Return a mark as it is stored now.

        Raises:
            StateError: the database could not be used.
        """
        return await self.database.read(lambda raw: read_mark(raw, self.flow_id, name))


def read_mark(raw: sqlite3.Connection, flow_id: str, name: str) -> StoredMark:
    """Return a mark of a flow."""
    row = raw.execute(
        "SELECT type, value, set_count FROM marks WHERE flow_id = ? AND name = ?", (flow_id, name)
    ).fetchone()
    if row is None:
        return StoredMark()
    return StoredMark(None if row[0] is None else Mark(row[0], row[1]), row[2])


def move_marks(raw: sqlite3.Connection, moves: Sequence[MarkMove]) -> None:
    """Move marks as steps say that have succeeded; none moves back, and none that a person has set since."""
    for move in moves:
        stored = read_mark(raw, move.flow_id, move.name)
        if move.after is not None and _may_move(stored, move.before, move.after, move.set_count):
            _write(raw, move.flow_id, move.name, move.after, move.set_count, move.row)


def _may_move(stored: StoredMark, before: Mark | None, after: Mark, set_count: int) -> bool:
    if stored.mark is None or stored.set_count != set_count:
        return stored.set_count <= set_count
    if stored.mark == before:
        return True  # as usual; and the order of texts is that of their database
    try:
        return after.is_above(stored.mark)
    except StepError:
        return False  # another run has moved it to another type of value meanwhile


def set_mark(
    raw: sqlite3.Connection, flow_id: str, name: str, mark: Mark | None, person: str, now: datetime
) -> StoredMark:
    """Set a mark, or delete it (None); return what it was."""
    was = read_mark(raw, flow_id, name)
    _write(raw, flow_id, name, mark, was.set_count + 1, (timestamp(now), "", "", "", person))
    return was


def _write(
    raw: sqlite3.Connection,
    flow_id: str,
    name: str,
    mark: Mark | None,
    set_count: int,
    row: tuple[str, str, str, str, str],
) -> None:
    value = (None, None) if mark is None else (mark.type, mark.text)
    raw.execute(
        "INSERT OR REPLACE INTO marks (flow_id, name, type, value, set_count, moved_at, run_id, job_id, "
        "step_id, set_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (flow_id, name, *value, set_count, *row),
    )


def list_marks(raw: sqlite3.Connection, *, flow_id: str = "", name: str = "") -> list[MarkRow]:
    """Return the marks, of one flow and of one name if given, in the order of flows and names."""
    rows = raw.execute(
        "SELECT flow_id, name, type, value, moved_at, run_id, job_id, step_id, set_by FROM marks "
        "WHERE type IS NOT NULL AND (?1 = '' OR flow_id = ?1) AND (?2 = '' OR name = ?2) "
        "ORDER BY flow_id, name",
        (flow_id, name),
    )
    return [MarkRow(*row) for row in rows]


def moves_of(raw: sqlite3.Connection, flow_id: str, name: str, limit: int) -> list[MarkMoved]:
    """Return how steps of the flow have used a mark, the newest first."""
    rows = raw.execute(
        "SELECT run_id, job_id, step_id, finished_at, m.value FROM step_state, json_each(marks) m "
        "WHERE flow_id = ? AND marks IS NOT NULL AND m.key = ? ORDER BY finished_at DESC LIMIT ?",
        (flow_id, name, limit),
    )
    return [_moved(*row) for row in rows]


def _moved(run_id: str, job_id: str, step_id: str, at: str, stored: str) -> MarkMoved:
    use = msgspec.json.decode(stored, type=MarkUse)
    return MarkMoved(run_id, job_id, step_id, at, use.before, use.after)
