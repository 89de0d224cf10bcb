"""Read runs from a state database: one by its id, or the newest that fit a filter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from heapq import merge
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.store.lease import held
from aetherflow.store.process_identity import ProcessIdentity, is_dead
from aetherflow.store.projection import timestamp

_owners = msgspec.json.Decoder(ProcessIdentity)

_COLUMNS = "run_id, flow_id, flow_file, status, attempt, started_at, finished_at, params, reason, owner"
_PARAMS = 7
_STARTED_AT = attrgetter("started_at")
_RUN_ID = attrgetter("run_id")

_HAS_PARAMS = """NOT EXISTS (
    SELECT 1 FROM json_each(:params) AS wanted
    WHERE instr(run_state.params, json_quote(wanted.key)) = 0 OR NOT EXISTS (
        SELECT 1 FROM json_each(run_state.params) AS given WHERE given.key = wanted.key AND wanted.value =
            CASE given.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null'
            ELSE CAST(given.value AS TEXT) END))"""
_IS_OF_ITEM = """EXISTS (
    SELECT 1 FROM firings f WHERE f.run_id = run_state.run_id
    AND :item IN (f.item_id, f.scheduler || '/' || f.item_id))"""
_IS_OF_ITEMS = """run_id IN (
    SELECT f.run_id FROM json_each(:items) AS item CROSS JOIN firings f
    ON f.scheduler = json_extract(item.value, '$[0]') AND f.item_id = json_extract(item.value, '$[1]')
    WHERE f.run_id IS NOT NULL)"""

NEWEST_RUNS = 3000
"""How many of the newest runs are looked through one by one for an item or for params."""

UNFINISHED = ("FAILED", "CANCELLED", "INTERRUPTED")
"""The statuses of runs that a resume can finish."""


class RunRow(msgspec.Struct, frozen=True):
    """One run; `status` is INTERRUPTED when its process died."""

    run_id: str
    flow_id: str
    flow_file: str
    status: str
    attempt: int
    started_at: str
    finished_at: str | None
    params: dict[str, Any]
    reason: str
    owner: str


class RunFilter(msgspec.Struct, frozen=True):
    """Which runs are wanted; what is empty does not restrict them.

    Attributes:
        item: the item that fired the run, as `ITEM` or `FILE_ID/ITEM`.
        since: runs that started at this time or later; `until` is exclusive.
        params: values of parameters as text; JSON text of a list or a mapping.
    """

    flow_id: str = ""
    item: str = ""
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    params: Mapping[str, str] = {}


def list_runs(raw: sqlite3.Connection, wanted: RunFilter, limit: int) -> list[RunRow]:
    """Return the newest runs that fit, the newest first."""
    return list(islice(_newest(raw, wanted), limit))


def find_run(raw: sqlite3.Connection, run_id: str) -> RunRow | None:
    """Return one run, or None if there is none of that id."""
    row = raw.execute(f"SELECT {_COLUMNS} FROM run_state WHERE run_id = ?", (run_id,)).fetchone()  # noqa: S608 - a constant
    return None if row is None else _run(raw, row)


def runs_with_prefix(raw: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """Return the ids that begin with a text, the newest runs first."""
    rows = raw.execute(
        "SELECT run_id FROM run_state WHERE run_id >= ?1 AND run_id < ?1 || char(0x10FFFF) "
        "ORDER BY started_at DESC, run_id LIMIT ?2",
        (prefix, limit),
    )
    return [run_id for (run_id,) in rows]


def last_unfinished_run(raw: sqlite3.Connection, flow_id: str = "") -> RunRow | None:
    """Return the newest run that failed, was cancelled or whose process died; None if there is none."""
    return next(_newest(raw, RunFilter(flow_id, statuses=UNFINISHED)), None)


def running_runs(raw: sqlite3.Connection, flow_id: str, now: datetime) -> list[str]:
    """Return the ids of the runs of a flow that processes execute now, the oldest first."""
    rows = raw.execute(  # the plus sign: not by the index of flows, which has all past runs of this one
        "SELECT run_id FROM run_state WHERE status = 'RUNNING' AND +flow_id = ? ORDER BY started_at, run_id",
        (flow_id,),
    ).fetchall()
    leases = [(run_id, held(raw, f"run:{run_id}", now)) for (run_id,) in rows]
    return [run_id for run_id, lease in leases if lease is not None and lease.validity == "live"]


def _newest(raw: sqlite3.Connection, wanted: RunFilter) -> Iterator[RunRow]:
    """Yield the runs that fit, the newest first."""
    statuses = {"RUNNING" if status == "INTERRUPTED" else status for status in wanted.statuses}
    runs = [_with_status(raw, wanted, status) for status in sorted(statuses or {""})]
    merged = merge(*runs, key=_STARTED_AT, reverse=True)
    for _, began_together in groupby(merged, key=_STARTED_AT):
        for run in sorted(began_together, key=_RUN_ID):
            if not wanted.statuses or run.status in wanted.statuses:
                yield run


def _with_status(raw: sqlite3.Connection, wanted: RunFilter, status: str) -> Iterator[RunRow]:
    """Yield the runs with a stored status that fit, the newest first.

    Only what is wanted is asked: so there is an index that has the order. There is none for items and params:
    a few runs are looked through in the order, since most are found there. The others are found and sorted.
    """
    values = {
        "flow": wanted.flow_id,
        "status": status,
        "since": timestamp(wanted.since) if wanted.since else "",
        "until": timestamp(wanted.until) if wanted.until else "",
    }
    asked = {
        "flow": "flow_id = :flow",
        # Most runs are a SUCCESS: those of one flow are found by the flow, without the index of statuses.
        "status": "+status = :status" if wanted.flow_id and status == "SUCCESS" else "status = :status",
        "since": "started_at >= :since",
        "until": "started_at < :until",
    }
    conditions = [text for name, text in asked.items() if values[name]]
    if not wanted.item and not wanted.params:
        yield from _select(raw, conditions, values)
        return
    values["border"] = _border(raw)
    values["item"] = wanted.item
    values["params"] = msgspec.json.encode(wanted.params).decode()
    conditions += [_HAS_PARAMS] if wanted.params else []
    is_of_item = [_IS_OF_ITEM] if wanted.item else []
    yield from _select(raw, [*conditions, *is_of_item, "started_at >= :border"], values)
    values["items"] = msgspec.json.encode(_items(raw, wanted.item)).decode()
    is_of_item = [_IS_OF_ITEMS] if wanted.item else []
    yield from _select(raw, [*conditions, *is_of_item, "+started_at < :border"], values, "+started_at")


def _select(
    raw: sqlite3.Connection, conditions: list[str], values: Mapping[str, str], by: str = "started_at"
) -> Iterator[RunRow]:
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    rows = raw.execute(f"SELECT {_COLUMNS} FROM run_state {where}ORDER BY {by} DESC, run_id", values)  # noqa: S608 - constants
    return (_run(raw, row) for row in rows)


def _border(raw: sqlite3.Connection) -> str:
    """Return when the oldest of the newest few runs began."""
    row = raw.execute(
        "SELECT started_at FROM run_state ORDER BY started_at DESC LIMIT 1 OFFSET ?", (NEWEST_RUNS - 1,)
    ).fetchone()
    return row[0] if row else ""


def _items(raw: sqlite3.Connection, name: str) -> list[tuple[str, str]]:
    """Return the scheduler and the id of each item that may be meant by ITEM or FILE_ID/ITEM."""
    from aetherflow.store.firing_history import schedulers_with_firings  # noqa: PLC0415 - few ask for an item

    schedulers = schedulers_with_firings(raw)
    whole = [(one, name.removeprefix(f"{one}/")) for one in schedulers if name.startswith(f"{one}/")]
    return [*((one, name) for one in schedulers), *whole]


def _run(raw: sqlite3.Connection, row: tuple[Any, ...]) -> RunRow:
    """Return a run; one that nobody executes is INTERRUPTED: its lease is over, or its process dead."""
    values = list(row)
    values[_PARAMS] = msgspec.json.decode(values[_PARAMS])
    run = RunRow(*values)
    if run.status != "RUNNING":
        return run
    lease = raw.execute(
        "SELECT owner, expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM leases "
        "WHERE name = ? AND released_at IS NULL",
        (f"run:{run.run_id}",),
    ).fetchone()
    if lease is None or lease[1] or is_dead(_owners.decode(lease[0])):
        return replace(run, status="INTERRUPTED")
    return run
