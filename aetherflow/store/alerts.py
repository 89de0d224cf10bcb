"""Read and write alerts about late items: each is stored before it is reported, so that it is reported once.

The functions work inside a transaction of the caller.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from aetherflow.events.schedule_events import AlertKind
from aetherflow.store.firings import Firing, as_firings
from aetherflow.store.projection import timestamp

_COLUMNS = "scheduler, item_id, scheduled_at, kind, alerted_at, message, run_id"


class Alert(msgspec.Struct, frozen=True):
    """One alert; times are RFC 3339 in UTC.

    Attributes:
        run_id: the run of its steps (`on_late`, messages); None if there is none, or none for this tick.
    """

    scheduler: str
    item_id: str
    scheduled_at: str
    kind: AlertKind
    alerted_at: str
    message: str
    run_id: str | None = None


def claim_alert(raw: sqlite3.Connection, alert: Alert, *, ahead: datetime) -> bool:
    """Store an alert; False if a server has stored it, unless its clock was `ahead` of that time."""
    stored = raw.execute(
        f"INSERT INTO schedule_alerts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "  # noqa: S608 - constant columns
        "SET alerted_at = excluded.alerted_at, message = excluded.message, run_id = NULL "
        "WHERE schedule_alerts.alerted_at > ?",
        (*msgspec.structs.astuple(alert), timestamp(ahead)),
    )
    return stored.rowcount == 1


def set_run(raw: sqlite3.Connection, alert: Alert) -> None:
    """Store the run of the `on_late` steps of an alert, before it starts."""
    raw.execute(
        "UPDATE schedule_alerts SET run_id = ? "
        "WHERE scheduler = ? AND item_id = ? AND scheduled_at = ? AND kind = ?",
        (alert.run_id, alert.scheduler, alert.item_id, alert.scheduled_at, alert.kind),
    )


def has_run_since(raw: sqlite3.Connection, alert: Alert, since: datetime) -> bool:
    """Whether the steps of `on_late` have run for the same kind of alert about an item since a time."""
    row = raw.execute(
        "SELECT 1 FROM schedule_alerts WHERE scheduler = ? AND item_id = ? AND kind = ? "
        "AND run_id IS NOT NULL AND alerted_at > ? AND alerted_at <= ? LIMIT 1",
        (alert.scheduler, alert.item_id, alert.kind, timestamp(since), alert.alerted_at),
    ).fetchone()
    return row is not None


def newest_reported(raw: sqlite3.Connection, scheduler: str, item_id: str, *, late: bool) -> Alert | None:
    """Return the newest alert about a failure or a recovery of an item that was sent, or may still be.

    It was not sent if its run has ended and none of its steps has succeeded. With `late`, alerts about late
    ticks count too.
    """
    rows = raw.execute(  # the plus sign: not by the index of times, which has the alerts of all items
        f"SELECT {_COLUMNS} FROM schedule_alerts a WHERE scheduler = ? AND item_id = ? AND kind <> 'success' "  # noqa: S608 - as above
        "AND (? OR kind IN ('failure', 'recovery')) AND run_id IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM run_state r WHERE r.run_id = a.run_id AND r.status <> 'RUNNING' AND NOT EXISTS "
        "(SELECT 1 FROM step_state s WHERE s.run_id = a.run_id AND s.status = 'SUCCESS')) "
        "ORDER BY +alerted_at DESC LIMIT 1",
        (scheduler, item_id, late),
    )
    return next((Alert(*row) for row in rows), None)


def kinds_of(raw: sqlite3.Connection, firing: Firing, *, ahead: datetime) -> set[AlertKind]:
    """Return the kinds of the alerts about a tick, but not those by a clock that was `ahead`."""
    rows = raw.execute(
        "SELECT kind FROM schedule_alerts WHERE scheduler = ? AND item_id = ? AND scheduled_at = ? "
        "AND alerted_at <= ?",
        (firing.scheduler, firing.item_id, firing.scheduled_at, timestamp(ahead)),
    )
    return {kind for (kind,) in rows}


def alerts_of(raw: sqlite3.Connection, scheduler: str, item_id: str, since: str, until: str) -> list[Alert]:
    """Return the alerts about the ticks of an item from one time to another, in their order."""
    rows = raw.execute(
        f"SELECT {_COLUMNS} FROM schedule_alerts WHERE scheduler = ? AND item_id = ? "  # noqa: S608 - as above
        "AND scheduled_at >= ? AND scheduled_at <= ? ORDER BY scheduled_at, alerted_at, kind",
        (scheduler, item_id, since, until),
    )
    return [Alert(*row) for row in rows]


def has_run(raw: sqlite3.Connection, scheduler: str, item_id: str) -> bool:
    """Whether a run of an item has started, or is going to."""
    row = raw.execute(
        "SELECT 1 FROM firings WHERE scheduler = ? AND item_id = ? "
        "AND (started_at IS NOT NULL OR finished_at IS NULL) LIMIT 1",
        (scheduler, item_id),
    ).fetchone()
    return row is not None


def has_alert(raw: sqlite3.Connection, scheduler: str, item_id: str, kind: AlertKind) -> bool:
    """Whether there is an alert of this kind about any tick of an item."""
    query = "SELECT 1 FROM schedule_alerts WHERE scheduler = ? AND item_id = ? AND kind = ? LIMIT 1"
    return raw.execute(query, (scheduler, item_id, kind)).fetchone() is not None


def newest_firing_id(raw: sqlite3.Connection) -> int:
    """Return the id of the row that was inserted last; 0 without any."""
    return raw.execute("SELECT coalesce(max(firing_id), 0) FROM firings").fetchone()[0]  # type: ignore[no-any-return]  # an integer


def firings_from(raw: sqlite3.Connection, scheduler: str, first_id: int) -> list[Firing]:
    """Return the firings of a scheduler that were inserted since a row, that one too."""
    rows = raw.execute(  # the plus sign: not by the index of the scheduler, which has years of firings
        "SELECT * FROM firings WHERE firing_id >= ? AND +scheduler = ? ORDER BY firing_id",
        (first_id, scheduler),
    )
    return as_firings(rows)


def unstarted_runs(raw: sqlite3.Connection, scheduler: str, since: datetime, until: datetime) -> list[Alert]:
    """Return the alerts of a time whose `on_late` run this database does not know: it was never started."""
    rows = raw.execute(
        f"SELECT {_COLUMNS} FROM schedule_alerts WHERE scheduler = ? AND alerted_at BETWEEN ? AND ? "  # noqa: S608 - as above
        "AND run_id IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM run_state WHERE run_state.run_id = schedule_alerts.run_id) ORDER BY alerted_at",
        (scheduler, timestamp(since), timestamp(until)),
    )
    return [Alert(*row) for row in rows]


def is_unstarted(raw: sqlite3.Connection, run_id: str) -> bool:
    """Whether this database does not know the run of an alert, which is to be started."""
    row = raw.execute(
        "SELECT 1 FROM schedule_alerts WHERE run_id = ?1 "
        "AND NOT EXISTS (SELECT 1 FROM run_state WHERE run_id = ?1)",
        (run_id,),
    ).fetchone()
    return row is not None


def forget_runs(raw: sqlite3.Connection, run_ids: Sequence[str]) -> None:
    """Note that `on_late` runs cannot be started, or are deleted."""
    raw.execute(
        "UPDATE schedule_alerts SET run_id = NULL WHERE run_id IN (SELECT value FROM json_each(?))",
        (json.dumps(run_ids),),
    )


def firings_by_id(raw: sqlite3.Connection, ids: Collection[int]) -> list[Firing]:
    """Return the firings with these ids."""
    found: list[Firing] = []
    for firing_id in ids:
        found += as_firings(raw.execute("SELECT * FROM firings WHERE firing_id = ?", (firing_id,)))
    return found


def delete_old_alerts(raw: sqlite3.Connection, before: datetime) -> None:
    """Delete the alerts of before then, but the last one of each item and kind: it is not reported again."""
    raw.execute(
        "DELETE FROM schedule_alerts AS old WHERE alerted_at < ? AND EXISTS ("
        "SELECT 1 FROM schedule_alerts AS new WHERE new.scheduler = old.scheduler "
        "AND new.item_id = old.item_id AND new.kind = old.kind "
        "AND new.scheduled_at > old.scheduled_at)",
        (timestamp(before),),
    )


def newest_alerts(raw: sqlite3.Connection, scheduler: str, item_ids: Iterable[str]) -> dict[str, list[Alert]]:
    """Return the alerts about the newest tick of each of these items that has some, by item."""
    found: dict[str, list[Alert]] = {}
    for item_id in item_ids:
        rows = raw.execute(
            f"SELECT {_COLUMNS} FROM schedule_alerts WHERE scheduler = ?1 AND item_id = ?2 "  # noqa: S608 - as above
            "AND scheduled_at = (SELECT max(scheduled_at) FROM schedule_alerts "
            "WHERE scheduler = ?1 AND item_id = ?2) "
            "ORDER BY alerted_at, kind",
            (scheduler, item_id),
        )
        if alerts := [Alert(*row) for row in rows]:
            found[item_id] = alerts
    return found
