"""Write a state database as AetherFlow 0.0.14 did."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

_LAYOUT = """
PRAGMA journal_mode = WAL;
CREATE TABLE job_runs (
    job_id TEXT NOT NULL, run_id TEXT NOT NULL, status TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (job_id, run_id)
);
CREATE TABLE step_runs (
    job_id TEXT NOT NULL, run_id TEXT NOT NULL, step_id TEXT NOT NULL, status TEXT NOT NULL,
    updated_at INTEGER NOT NULL, PRIMARY KEY (job_id, run_id, step_id)
);
CREATE TABLE locks (key TEXT PRIMARY KEY, owner TEXT NOT NULL, expires_at INTEGER NOT NULL);
INSERT INTO job_runs VALUES ('load', 'r', 'FAILED', 1764374400);
INSERT INTO step_runs VALUES
    ('load', 'r', 'read', 'SUCCESS', 1764374390), ('load', 'r', 'send', 'SKIPPED', 1764374395);
INSERT INTO locks VALUES ('night', 'r', 1764375000);
"""


def write_old_database(path: Path) -> Path:
    """Write a database with a run `r` that failed after two steps of its job `load`; return the path."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(_LAYOUT)
    return path
