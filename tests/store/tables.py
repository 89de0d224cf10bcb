"""The rows that a database keeps of a run: fixtures and rebuilt projections are compared by them."""

from __future__ import annotations

import sqlite3
from typing import Any

RUN_OF_FIXTURES = "nightly-7"


def tables_of(raw: sqlite3.Connection) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the projections, and the marks that the steps moved."""
    return {name: rows_of(raw, name) for name in ("run_state", "job_state", "step_state", "marks")}


def rows_of(raw: sqlite3.Connection, table: str) -> list[dict[str, Any]]:
    """Return all rows of a table, by their key."""
    cursor = raw.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]
