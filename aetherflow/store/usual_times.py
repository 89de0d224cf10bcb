"""Look up how long earlier runs of a flow took that succeeded, for the display of a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from statistics import median

from aetherflow.ports import UsualTimes
from aetherflow.store.looking import uri_to_look, way_to_look
from aetherflow.store.stored_times import seconds_between

RUNS_COMPARED = 5
"""The usual time is the median of so many runs: one that was slow does not count much."""

RUNS_SEARCHED = 2000
"""How many of the newest runs of the flow are looked through: that is short in a large database too."""

ROWS_READ = 2000
"""How many jobs, and how many steps, of the last run are read; more fit on no screen."""

_RUNS = """
SELECT run_id, started_at, finished_at
FROM (SELECT * FROM run_state WHERE flow_id = ? ORDER BY started_at DESC LIMIT ?)
WHERE status = 'SUCCESS' AND attempt = 1 AND finished_at IS NOT NULL ORDER BY started_at DESC
"""
_SELECTED = "SELECT json_extract(payload, '$.selected_job') FROM events WHERE run_id = ? AND seq = 1"
_JOBS = """
SELECT job_id, started_at, finished_at FROM job_state
WHERE run_id = ? AND status = 'SUCCESS' AND started_at IS NOT NULL AND instr(job_id, '[') = 0 LIMIT ?
"""
_STEPS = """
SELECT job_id || '.' || step_id, started_at, finished_at FROM step_state
WHERE run_id = ? AND status = 'SUCCESS' AND started_at IS NOT NULL AND instr(job_id, '[') = 0 LIMIT ?
"""


def usual_times(path: Path, flow_id: str, selected_job: str = "") -> UsualTimes:
    """Return how long runs of a flow take, as its last ones did that had the same jobs.

    It opens the database for itself, reads little of it, and may block for a second: call it in a thread.

    Raises:
        OSError: the database is gone.
        sqlite3.Error: the database cannot be read now.
    """
    with closing(sqlite3.connect(uri_to_look(path, way_to_look(path)), uri=True, timeout=1)) as raw:
        found: list[tuple[str, float]] = []
        for run_id, began, ended in raw.execute(_RUNS, (flow_id, RUNS_SEARCHED)):
            row = raw.execute(_SELECTED, (run_id,)).fetchone()
            if row is not None and (row[0] or "") == selected_job:
                found.append((run_id, seconds_between(began, ended)))
            if len(found) == RUNS_COMPARED:
                break
        if not found:
            return UsualTimes()
        last = found[0][0]
        jobs, steps = (_durations(raw.execute(sql, (last, ROWS_READ))) for sql in (_JOBS, _STEPS))
        return UsualTimes(median(seconds for _, seconds in found), jobs, steps)


def _durations(rows: Iterable[tuple[str, str, str]]) -> dict[str, float]:
    return {name: seconds_between(began, ended) for name, began, ended in rows}
