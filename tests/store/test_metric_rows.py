"""What metrics read of a database is right, and read by indexes: a server has years of runs."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest

from aetherflow.store import metric_rows
from aetherflow.store.metric_rows import FLOW_ENDS, ITEM_SUCCESS, FlowEnd, flow_ends, item_successes
from aetherflow.store.state_schema import MIGRATIONS


@pytest.fixture
def raw() -> Any:
    """A database with three runs of two flows, and four firings of an item."""
    connection = sqlite3.connect(":memory:")
    for script in MIGRATIONS:
        connection.executescript(script)
    for number, (flow, status, hour) in enumerate(
        [("f", "SUCCESS", "02"), ("f", "FAILED", "03"), ("f", "SUCCESS", "01"), ("g", "RUNNING", "")]
    ):
        finished = f"2026-01-01T{hour}:00:00Z" if hour else None
        connection.execute(
            "INSERT INTO run_state VALUES (?, ?, '', ?, 1, ?, ?, '{}', '', '')",
            (f"r{number}", flow, status, f"2026-01-01T00:0{number}:00Z", finished),
        )
    for day, outcome in enumerate(["SUCCESS", "SUCCESS", "FAILED", "QUEUED"], 1):
        connection.execute(
            "INSERT INTO firings (scheduler, item_id, scheduled_at, cause, decided_at, outcome, due_at, "
            "finished_at) VALUES ('night', 'a', ?, 'tick', '', ?, '', ?)",
            (f"2026-01-0{day}", outcome, None if outcome == "QUEUED" else f"2026-01-0{day}T02:00:00Z"),
        )
    yield connection
    connection.close()


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def test_the_last_end_of_each_flow_is_found_with_success_and_without(raw: sqlite3.Connection) -> None:
    assert flow_ends(raw) == [FlowEnd("f", False, at(1, 3)), FlowEnd("f", True, at(1, 2))]


def test_the_last_success_of_an_item_is_found(raw: sqlite3.Connection) -> None:
    assert item_successes(raw, [("night", "a"), ("night", "b")]) == {("night", "a"): at(2, 2)}


def test_no_more_rows_are_read_than_said(raw: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metric_rows, "NEWEST_RUNS", 3)
    monkeypatch.setattr(metric_rows, "NEWEST_FIRINGS", 2)
    assert flow_ends(raw) == [FlowEnd("f", False, at(1, 3)), FlowEnd("f", True, at(1, 1))]
    assert item_successes(raw, [("night", "a")]) == {}


@pytest.mark.parametrize(("sql", "values"), [(FLOW_ENDS, (1,)), (ITEM_SUCCESS, ("night", "a", 1))])
def test_each_question_is_answered_by_an_index(
    raw: sqlite3.Connection, sql: str, values: tuple[Any, ...]
) -> None:
    steps = [row[3] for row in raw.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    of_tables = [step for step in steps if " run_state" in step or " firings" in step]
    assert len(of_tables) == 1
    assert "USING INDEX" in of_tables[0], steps
