"""Lists of the newest runs have one order, whatever they are filtered by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from aetherflow.store.database import Database
from aetherflow.store.run_rows import RunFilter, last_unfinished_run, list_runs

RUNS = (
    ("a", "SUCCESS", "2026-01-02"),
    ("b", "RUNNING", "2026-01-02"),
    ("c", "FAILED", "2026-01-02"),
    ("d", "CANCELLED", "2026-01-02"),
    ("e", "SUCCESS", "2026-01-02"),
    ("f", "FAILED", "2026-01-02"),
    ("g", "FAILED", "2026-01-03"),
    ("h", "SUCCESS", "2026-01-01"),
)
"""Most of them began at the same time. Nobody has the lease of the one that is RUNNING."""


async def _make(path: Path) -> None:
    database = await Database.open(path)
    await database.aclose()


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "state.sqlite"
    anyio.run(_make, path)
    with closing(sqlite3.connect(path)) as raw:
        raw.executemany(
            "INSERT INTO run_state VALUES (?, 'flow', 'flow.yaml', ?, 1, ? || 'T00:00:00.000000Z', NULL, "
            "'{}', '', '')",
            RUNS,
        )
        yield raw


@pytest.mark.parametrize("flow_id", ["", "flow"])
@pytest.mark.parametrize("limit", [1, 3, 10])
def test_runs_that_began_together_are_in_the_order_of_their_ids_also_with_several_statuses(
    raw: sqlite3.Connection, flow_id: str, limit: int
) -> None:
    def listed(*statuses: str) -> str:
        return "".join(run.run_id for run in list_runs(raw, RunFilter(flow_id, statuses=statuses), limit))

    assert listed() == "gabcdefh"[:limit]
    assert listed("SUCCESS", "FAILED") == "gacefh"[:limit]
    assert listed("INTERRUPTED", "CANCELLED", "FAILED") == "gbcdf"[:limit]
    assert listed("RUNNING") == ""


def test_of_unfinished_runs_that_began_together_the_first_id_is_the_newest(raw: sqlite3.Connection) -> None:
    raw.execute("DELETE FROM run_state WHERE run_id = 'g'")
    found = last_unfinished_run(raw)
    assert found is not None
    assert (found.run_id, found.status) == ("b", "INTERRUPTED")


@pytest.mark.parametrize(
    ("flow_id", "status", "index"),
    [
        ("", "SUCCESS", "run_state_by_status"),
        ("", "FAILED", "run_state_by_status"),
        ("flow", "SUCCESS", "run_state_by_flow"),
        ("flow", "FAILED", "run_state_by_status"),
        ("flow", "", "run_state_by_flow"),
        ("", "", "run_state_by_start"),
    ],
)
@pytest.mark.parametrize("since", [None, datetime(2026, 1, 1, tzinfo=UTC)])
def test_runs_are_found_by_what_fewer_of_them_have(
    raw: sqlite3.Connection, flow_id: str, status: str, index: str, since: datetime | None
) -> None:
    """Most runs succeed; of those that do not there are few, also of a flow that runs often."""
    asked: list[str] = []
    raw.set_trace_callback(asked.append)
    list_runs(raw, RunFilter(flow_id, statuses=(status,) if status else (), since=since), 1)
    raw.set_trace_callback(None)
    plan = raw.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()
    assert f"USING INDEX {index}" in plan[0][3]
