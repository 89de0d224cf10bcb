"""Find state databases of AetherFlow 0.0: they stay as they are, and a new one is made beside each.

0.0 stored statuses only, no outputs. A run of it cannot be resumed here: its steps would not see what they
saw.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from aetherflow.store.filesystem import is_missing

T = TypeVar("T")

_TABLES = {"job_runs", "step_runs", "locks"}
_MARK = ".v1"


def beside_old(path: Path) -> Path:
    """Return where the state database is: at the path; or beside it, if a database of 0.0 is or was there."""
    beside = path.with_name(f"{path.stem}{_MARK}{path.suffix}")
    if is_missing(path):
        return path if is_missing(beside) else beside
    return beside if _read(path, _is_old, default=False) else path


def old_beside(path: Path) -> Path | None:
    """Return the database of 0.0 that this one was, or will be, made beside; None if there is none."""
    if not path.stem.endswith(_MARK):
        return None
    old = path.with_name(f"{path.stem.removesuffix(_MARK)}{path.suffix}")
    return old if _read(old, _is_old, default=False) else None


def ended_steps(old: Path, run_id: str) -> list[str]:
    """Return the steps of a run that 0.0 would not have run again, as `job.step`."""
    query = (
        "SELECT job_id || '.' || step_id FROM step_runs"
        " WHERE run_id = ? AND status IN ('SUCCESS', 'SKIPPED') ORDER BY updated_at, rowid"
    )
    return _read(old, lambda raw: [row[0] for row in raw.execute(query, (run_id,))], default=[])


def _is_old(raw: sqlite3.Connection) -> bool:
    if raw.execute("PRAGMA application_id").fetchone()[0]:
        return False
    tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return tables >= _TABLES


def _read(path: Path, look: Callable[[Any], T], *, default: T) -> T:
    """Return what a look into a file finds, and the default if it is no database that can be read.

    `immutable` leaves no files beside it and takes no locks. The file is opened by SQLite and not directly:
    closing it would otherwise release the locks that this process has on it.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)) as raw:
            return look(raw)
    except (sqlite3.Error, ValueError):
        return default
