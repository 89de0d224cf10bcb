"""Say whether a statement reads a whole table that grows with history, by the plan that SQLite has for it."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, NamedTuple

GROWING = {"events", "run_state", "job_state", "step_state", "leases", "firings", "schedule_alerts"}
"""The tables that have a row, or many, for every run, firing or alert of the past."""

QUERIES = {"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"}
"""The words that a statement with a plan begins with."""

OPEN = {"firings_open"}
"""The indexes that hold only what is going on now."""

WEAK = {("firings", "scheduler=?"), ("schedule_alerts", "scheduler=?")}
"""Searches that find nearly every row: the history of all items of a scheduler file."""

_STEP = re.compile(
    r"(SCAN|SEARCH) (.+?)(?: USING (?:(AUTOMATIC) )?(?:PARTIAL )?(?:COVERING )?"
    r"(?:INDEX ?(\w*)|(?:INTEGER )?PRIMARY KEY))?(?: \((.*)\))?(?: LEFT-JOIN| EXISTS)?$"
)
_NAMED = re.compile(rf"\b({'|'.join([*GROWING, 'runs'])})\b\"?\s+(?:AS\s+)?(\w+)", re.IGNORECASE)
"""A growing table and the word after it: its other name, or a word of SQL that is no name in a plan."""

_YEAR = {
    ("schedule_alerts", "schedule_alerts_by_time"): "1666 1666 1",
    ("schedule_alerts", "schedule_alerts_by_run"): "1666 1",
    ("schedule_alerts", "schedule_alerts"): "8200 2001 286 1 1",
    ("firings", "firings_by_outcome"): "222000 2001 2001 1001 1",
    ("firings", "firings_of_backfills"): "5208 96",
    ("firings", "sqlite_autoindex_firings_2"): "263250 2001 2001 1",
    ("firings", "sqlite_autoindex_firings_1"): "680580 2",
    ("events", "events"): "1756160 56 1",
    ("run_state", "run_state_by_status"): "135198 1001 1",
    ("run_state", "run_state_by_flow"): "168480 2001 1",
    ("run_state", "run_state_by_start"): "157368 1",
    ("run_state", "run_state"): "113680 1",
    ("job_state", "job_state"): "1718640 15 1",
    ("leases", "leases"): "114660 1",
    ("step_state", "steps_with_marks"): "37296 2001",
    ("step_state", "step_state"): "1995000 16 2 1",
}
"""What ANALYZE says of a year of runs with ten million events (`tests/benchmarks/year_of_runs.py`)."""


class Statement(NamedTuple):
    """A statement as it was given to SQLite, with the values of its first execution."""

    sql: str
    values: Any = ()

    @property
    def words(self) -> str:
        """The statement in one line."""
        return " ".join(self.sql.split())


def scans(raw: sqlite3.Connection, statement: Statement) -> list[str]:
    """Return the steps of the plan of a statement that read a growing table without a bound."""
    try:
        rows = raw.execute(f"EXPLAIN QUERY PLAN {statement.sql}", statement.values).fetchall()
    except sqlite3.OperationalError:
        if statement.sql.split(maxsplit=1)[0].upper() in QUERIES:
            raise  # such a statement is not looked at by mistake
        return []  # what makes a table that is there
    views = [sql for (sql,) in raw.execute("SELECT sql FROM sqlite_schema WHERE type = 'view'")]
    tables = {alias: table for text in [*views, statement.sql] for table, alias in _NAMED.findall(text)}
    return [detail for _, _, _, detail in rows if _is_unbound(detail, tables)]


def _is_unbound(detail: str, tables: dict[str, str]) -> bool:
    if (step := _STEP.match(detail)) is None:
        return False
    how, name, automatic, index, bounds = step.groups()
    table = tables.get(name, name)
    if table == "runs":
        table = "run_state"
    if table not in GROWING or index in OPEN:
        return False
    if automatic:  # SQLite reads the whole table to make this index
        return True
    return how == "SCAN" or (table, bounds) in WEAK


def take_statistics_of_a_year(raw: sqlite3.Connection) -> None:
    """Let SQLite plan as if its tables had the rows of a year; AetherFlow itself makes no statistics."""
    raw.execute("ANALYZE")  # makes the table
    raw.execute("DELETE FROM sqlite_stat1")
    rows = [(*names, numbers) for names, numbers in _YEAR.items()]
    raw.executemany("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", rows)
    raw.execute("ANALYZE sqlite_schema")  # reads it
