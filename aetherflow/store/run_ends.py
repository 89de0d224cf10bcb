"""Read how runs of a flow have ended, for messages about them. The functions work inside a transaction.

A run belongs to the item of a scheduler file that has started it, as far as the firing is in this database;
else to none. Runs of one flow with different items are different histories.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from aetherflow.events.run_events import Event, Journalled, RunEnd
from aetherflow.spec.convert import json_decoder
from aetherflow.store.firings import Firing
from aetherflow.store.projection import timestamp

LONGEST_RUN = timedelta(days=7)
"""A run that ended after some time is looked for among those that began at most so long before it."""

LOOK_BACK = timedelta(days=35)
"""How far back the end of the run before is looked for."""

_OF_ITEM = "flow_id = ? AND coalesce((SELECT item_id FROM firings f WHERE f.run_id = r.run_id), '') = ?"


def item_of_run(raw: sqlite3.Connection, run_id: str) -> tuple[str, str]:
    """Return the item that has started a run and the time of its tick (RFC 3339); empty texts without one."""
    row = raw.execute("SELECT item_id, scheduled_at FROM firings WHERE run_id = ?", (run_id,)).fetchone()
    return ("", "") if row is None else (row[0], row[1])


def has_succeeded_since(raw: sqlite3.Connection, flow_id: str, item: str, since: datetime) -> bool:
    """Whether a run of a flow and item has ended SUCCESS since a time."""
    row = raw.execute(  # the plus sign: not by the index of statuses, since most runs of all flows succeed
        "SELECT 1 FROM run_state r WHERE started_at > ? AND finished_at > ? AND +status = 'SUCCESS' "  # noqa: S608 - constants
        f"AND {_OF_ITEM} LIMIT 1",
        (timestamp(since - LONGEST_RUN), timestamp(since), flow_id, item),
    ).fetchone()
    return row is not None


def end_before(raw: sqlite3.Connection, flow_id: str, item: str, run_id: str, now: datetime) -> RunEnd | None:
    """Return how the newest other run of a flow and item that was not cancelled has ended."""
    row = raw.execute(
        "SELECT status FROM run_state r WHERE started_at > ? AND status IN ('SUCCESS', 'FAILED') "  # noqa: S608 - as above
        f"AND run_id <> ? AND {_OF_ITEM} ORDER BY started_at DESC LIMIT 1",
        (timestamp(now - LOOK_BACK), run_id, flow_id, item),
    ).fetchone()
    return None if row is None else row[0]


def last_end(raw: sqlite3.Connection, run_id: str) -> RunEnd | None:
    """Return how a run had ended that was resumed since; None if it has not ended before."""
    row = raw.execute(
        "SELECT json_extract(payload, '$.status') FROM events WHERE run_id = ? AND event = 'run_finished' "
        "ORDER BY seq DESC LIMIT 1",
        (run_id,),
    ).fetchone()
    return None if row is None else row[0]


def ending_events(raw: sqlite3.Connection, run_id: str) -> list[Event]:
    """Return the stored events of a run that say how it ended: its starts, its jobs, and what failed."""
    decode = json_decoder(Journalled).decode
    rows = raw.execute(
        "SELECT payload FROM events WHERE run_id = ? AND (event IN ('run_started', 'run_resumed', "
        "'job_started', 'job_finished', 'hooks_started', 'run_finished') "
        "OR event = 'step_finished' AND json_extract(payload, '$.status') = 'FAILED') ORDER BY seq",
        (run_id,),
    )
    return [decode(payload) for (payload,) in rows]


def firing_succeeded_since(raw: sqlite3.Connection, firing: Firing, since: str) -> bool:
    """Whether a run of the item of a firing has ended SUCCESS since a time, those of backfills apart."""
    earliest = datetime.fromisoformat(since) - LONGEST_RUN
    row = raw.execute(
        "SELECT 1 FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at > ? AND finished_at > ? "
        "AND outcome = 'SUCCESS' AND cause <> 'backfill' LIMIT 1",
        (firing.scheduler, firing.item_id, timestamp(earliest), since),
    ).fetchone()
    return row is not None


def firing_before(raw: sqlite3.Connection, firing: Firing) -> str:
    """Return the outcome of the run of the item before a firing, SUCCESS or FAILED; empty without one."""
    row = raw.execute(
        "SELECT outcome FROM firings WHERE scheduler = ? AND item_id = ? AND scheduled_at < ? "
        "AND outcome IN ('SUCCESS', 'FAILED') AND cause <> 'backfill' ORDER BY scheduled_at DESC LIMIT 1",
        (firing.scheduler, firing.item_id, firing.scheduled_at),
    ).fetchone()
    return "" if row is None else str(row[0])
