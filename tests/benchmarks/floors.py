"""What the engine is measured against: plain SQLite, as many commits, or the same rows in groups."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

ROWS_PER_JOB = 6
"""Four events and two rows of state: what a one-step job leaves in the database."""

PAYLOAD = "x" * 200


def _connect(path: Path) -> sqlite3.Connection:
    for stale in path.parent.glob(f"{path.name}*"):
        stale.unlink()
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, payload TEXT)")
    return raw


def one_row_commits(path: Path, commits: int) -> float:
    """Return how long that many transactions of one row take, each made durable."""
    raw = _connect(path)
    started = time.perf_counter()
    for number in range(commits):
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("INSERT INTO rows VALUES (?, ?)", (number, PAYLOAD))
        raw.execute("COMMIT")
    seconds = time.perf_counter() - started
    raw.close()
    return seconds


def grouped_rows(path: Path, rows: int, group: int = 100) -> float:
    """Return how long it takes to store that many rows, `group` of them in a transaction."""
    raw = _connect(path)
    started = time.perf_counter()
    for first in range(0, rows, group):
        raw.execute("BEGIN IMMEDIATE")
        batch = [(number, PAYLOAD) for number in range(first, min(first + group, rows))]
        raw.executemany("INSERT INTO rows VALUES (?, ?)", batch)
        raw.execute("COMMIT")
    seconds = time.perf_counter() - started
    raw.close()
    return seconds
