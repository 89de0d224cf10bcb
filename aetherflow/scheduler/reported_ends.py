"""Decide which ends of firings are reported by the messages of an item: one for a broken night, one after it.

What has been reported is read from the stored alerts, so that all servers of a database agree. A firing of a
backfill is reported by nobody: a person who repeats the past watches it.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from aetherflow.schedule.instant_text import utc_text
from aetherflow.schedule.item import Item
from aetherflow.scheduler.late_ticks import Late
from aetherflow.spec.on_late import occasions_of
from aetherflow.store.alerts import Alert, newest_reported
from aetherflow.store.firings import Firing
from aetherflow.store.run_ends import firing_before, firing_succeeded_since


def reported_end(raw: sqlite3.Connection, item: Item, firing: Firing) -> Late | None:
    """Return what is to be reported about a firing that has ended; None if nothing is."""
    occasions = occasions_of(item.spec)
    if not occasions or firing.finished_at is None or firing.cause == "backfill":
        return None
    match firing.outcome:
        case "FAILED" if "failure" in occasions:
            return _failure(raw, firing)
        case "SUCCESS" if "recovery" in occasions and (why := _recovery(raw, item, firing)):
            return Late(firing, "recovery", why)
        case "SUCCESS" if "success" in occasions:
            return Late(firing, "success", "its run succeeded")
        case _:
            return None


def _failure(raw: sqlite3.Connection, firing: Firing) -> Late | None:
    """Return the failure, unless one is reported, or the item has succeeded since it."""
    if firing_succeeded_since(raw, firing, firing.finished_at or ""):
        return None
    known = newest_reported(raw, firing.scheduler, firing.item_id, late=False)
    is_reported = known is not None and known.kind == "failure"
    if known is not None and is_reported and not firing_succeeded_since(raw, firing, known.alerted_at):
        return None
    what = "its run failed" if firing.started_at else "its run could not start"
    return Late(firing, "failure", f"{what}: {firing.reason}" if firing.reason else what)


def _recovery(raw: sqlite3.Connection, item: Item, firing: Firing) -> str:
    """Return a sentence that the item works again; empty if nothing was reported before."""
    occasions = occasions_of(item.spec)
    if "failure" not in occasions:
        before = firing_before(raw, firing)
        return "its run succeeded, the one before had failed" if before == "FAILED" else ""
    known = newest_reported(raw, firing.scheduler, firing.item_id, late="late" in occasions)
    if known is None or known.kind == "recovery":
        return ""
    at = utc_text(datetime.fromisoformat(known.alerted_at))
    return f"its run succeeded, after {_words(known)} reported {at}"


def _words(alert: Alert) -> str:
    return "a failure" if alert.kind == "failure" else f"{alert.kind},"
