"""Read runs from a state database: one by its id, or the newest that fit a filter."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from aetherflow.store.lease import held
from aetherflow.store.process_identity import ProcessIdentity, is_dead
from aetherflow.store.projection import timestamp

_owners = msgspec.json.Decoder(ProcessIdentity)

_COLUMNS = "run_id, flow_id, flow_file, status, attempt, started_at, finished_at, params, reason, owner"
_PARAMS = 7

_FITS = """
(:flow = '' OR flow_id = :flow)
AND (:statuses = '[]' OR status = 'RUNNING' OR status IN (SELECT value FROM json_each(:statuses)))
AND (:since = '' OR started_at >= :since) AND (:until = '' OR started_at < :until)
AND (:item = '' OR run_id IN (
    SELECT run_id FROM firings WHERE run_id IS NOT NULL AND :item IN (item_id, scheduler || '/' || item_id)))
AND NOT EXISTS (
    SELECT 1 FROM json_each(:params) AS wanted WHERE NOT EXISTS (
        SELECT 1 FROM json_each(runs.params) AS given WHERE given.key = wanted.key AND wanted.value =
            CASE given.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null'
            ELSE CAST(given.value AS TEXT) END))
"""


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
    row = raw.execute(f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?", (run_id,)).fetchone()  # noqa: S608 - a constant
    return None if row is None else _run(raw, row)


def runs_with_prefix(raw: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """Return the ids that begin with a text, the newest runs first."""
    rows = raw.execute(
        "SELECT run_id FROM run_state WHERE substr(run_id, 1, length(?1)) = ?1 "
        "ORDER BY started_at DESC, run_id LIMIT ?2",
        (prefix, limit),
    )
    return [run_id for (run_id,) in rows]


def last_unfinished_run(raw: sqlite3.Connection, flow_id: str = "") -> RunRow | None:
    """Return the newest run that failed, was cancelled or whose process died; None if there is none."""
    return next(_newest(raw, RunFilter(flow_id, statuses=UNFINISHED)), None)


def running_runs(raw: sqlite3.Connection, flow_id: str, now: datetime) -> list[str]:
    """Return the ids of the runs of a flow that processes execute now, the oldest first."""
    rows = raw.execute(
        "SELECT run_id FROM run_state WHERE flow_id = ? AND status = 'RUNNING' ORDER BY started_at, run_id",
        (flow_id,),
    ).fetchall()
    leases = [(run_id, held(raw, f"run:{run_id}", now)) for (run_id,) in rows]
    return [run_id for run_id, lease in leases if lease is not None and lease.validity == "live"]


def _newest(raw: sqlite3.Connection, wanted: RunFilter) -> Iterator[RunRow]:
    """Yield the runs that fit, the newest first."""
    rows = raw.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE {_FITS} ORDER BY started_at DESC, run_id",  # noqa: S608 - constants
        {
            "flow": wanted.flow_id,
            "item": wanted.item,
            "statuses": msgspec.json.encode(wanted.statuses).decode(),
            "since": timestamp(wanted.since) if wanted.since else "",
            "until": timestamp(wanted.until) if wanted.until else "",
            "params": msgspec.json.encode(wanted.params).decode(),
        },
    )
    for row in rows:
        run = _run(raw, row)
        if not wanted.statuses or run.status in wanted.statuses:
            yield run


def _run(raw: sqlite3.Connection, row: tuple[Any, ...]) -> RunRow:
    """Return a run; unlike the view, which checks only the time of leases, this sees a dead local process."""
    values = list(row)
    values[_PARAMS] = msgspec.json.decode(values[_PARAMS])
    run = RunRow(*values)
    if run.status != "RUNNING":
        return run
    lease = raw.execute(
        "SELECT owner FROM leases WHERE name = ? AND released_at IS NULL", (f"run:{run.run_id}",)
    ).fetchone()
    if lease is not None and is_dead(_owners.decode(lease[0])):
        return replace(run, status="INTERRUPTED")
    return run
