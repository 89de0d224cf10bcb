"""doit: tasks that run one after the other, with its store in SQLite, which it writes once, at its end.

JOBS=1000 doit -f dodo.py

A kill before the end loses the results of all tasks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

JOBS = int(os.environ["JOBS"])
DOIT_CONFIG = {"backend": "sqlite3", "dep_file": "doit.db"}


def work(number: int) -> dict[str, int]:
    """Do what a job does; doit keeps the values of a mapping."""
    return {"value": number + 1}


def task_job() -> Iterator[dict[str, object]]:
    """Define the tasks."""
    for number in range(JOBS):
        yield {"name": number, "actions": [(work, [number])]}
