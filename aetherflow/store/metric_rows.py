"""Read what metrics show of a state database: the last runs of flows, the last successes of items.

The functions only read, by an index, and never more rows than they say: a server reads them while runs wait
for the same connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import msgspec

NEWEST_RUNS = 20_000
"""How many runs are looked at, the newest ones; a flow that has not run since is not known after a start."""

NEWEST_FIRINGS = 200
"""How many firings of an item are looked at for its last success."""

FLOW_ENDS = """
SELECT flow_id, status = 'SUCCESS', max(finished_at) FROM (
    SELECT flow_id, status, finished_at FROM run_state ORDER BY started_at DESC LIMIT ?)
WHERE finished_at IS NOT NULL AND status IN ('SUCCESS', 'FAILED', 'CANCELLED') GROUP BY 1, 2
"""
ITEM_SUCCESS = """
SELECT finished_at FROM (
    SELECT outcome, finished_at FROM firings WHERE scheduler = ? AND item_id = ?
    ORDER BY scheduled_at DESC LIMIT ?)
WHERE outcome = 'SUCCESS' AND finished_at IS NOT NULL LIMIT 1
"""


class FlowEnd(msgspec.Struct, frozen=True):
    """When the last run of a flow ended that succeeded, or that did not."""

    flow_id: str
    succeeded: bool
    at: datetime


def flow_ends(raw: sqlite3.Connection) -> list[FlowEnd]:
    """Return when the last runs of each flow ended, of one that has run lately."""
    rows = raw.execute(FLOW_ENDS, (NEWEST_RUNS,))
    return [FlowEnd(flow, bool(succeeded), datetime.fromisoformat(at)) for flow, succeeded, at in rows]


def item_successes(
    raw: sqlite3.Connection, items: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], datetime]:
    """Return when the last run of items ended that succeeded; items are named by scheduler and id."""
    found: dict[tuple[str, str], datetime] = {}
    for scheduler, item_id in items:
        row = raw.execute(ITEM_SUCCESS, (scheduler, item_id, NEWEST_FIRINGS)).fetchone()
        if row is not None:
            found[scheduler, item_id] = datetime.fromisoformat(row[0])
    return found
