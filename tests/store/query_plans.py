"""Say whether a statement reads a whole table that grows with history, by the plan that SQLite has for it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

GROWING = {"events", "run_state", "job_state", "step_state", "leases", "firings", "schedule_alerts"}
"""The tables that have a row, or many, for every run, firing or alert of the past."""

OPEN = {"firings_open"}
"""The indexes that hold only what is going on now."""

WEAK = {("firings", "scheduler=?"), ("schedule_alerts", "scheduler=?")}
"""Searches that find nearly every row: the history of all items of a scheduler file."""

_STEP = re.compile(r"(SCAN|SEARCH) (\w+)(?: USING (?:COVERING )?(?:INDEX (\w+)|PRIMARY KEY))?(?: \((.*)\))?$")
_NAMED = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE)


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
        return []  # no query: PRAGMA, BEGIN; or what makes a table that is there
    views = [sql for (sql,) in raw.execute("SELECT sql FROM sqlite_schema WHERE type = 'view'")]
    tables = {alias: table for text in [*views, statement.sql] for alias, table in _aliases(text)}
    return [detail for _, _, _, detail in rows if _is_unbound(detail, tables)]


def _aliases(sql: str) -> Iterator[tuple[str, str]]:
    """Yield the names of tables in a statement, each with its table."""
    for table, alias in _NAMED.findall(sql):
        yield table, table
        if alias:
            yield alias, table


def _is_unbound(detail: str, tables: dict[str, str]) -> bool:
    if (step := _STEP.match(detail)) is None:
        return False
    how, name, index, bounds = step.groups()
    table = tables.get(name, name)
    if table == "runs":
        table = "run_state"
    if table not in GROWING or index in OPEN:
        return False
    return how == "SCAN" or (table, bounds) in WEAK
