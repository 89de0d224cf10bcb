"""What the torture tests share: the real command, its flows, and a look at what lives."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.warm_start import COMMAND, Popen

UNIQUE = uuid.uuid4().hex[:8]
"""For the ids of runs: processes are found by them, on a machine where other tests may run."""


def seed() -> int:
    """Return the seed of this run; AETHERFLOW_SEED repeats an earlier one."""
    return int(os.environ.get("AETHERFLOW_SEED", "0")) or random.SystemRandom().randrange(2**32)


def start(
    flow: Path, run_id: str, *options: str, command: Sequence[str | Path] = (COMMAND,)
) -> subprocess.Popen[bytes]:
    """Start a run in a session of its own; what it says goes to a file beside the flow."""
    with flow.with_name(f"{run_id}.log").open("ab") as log:
        return Popen(
            [*command, "run", flow, "--run-id", run_id, *options],
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def said(flow: Path, run_id: str) -> str:
    """Return what the starts of a run said."""
    return flow.with_name(f"{run_id}.log").read_text()


def query(database: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Return the rows of a query; none while the database or its tables are not there yet."""
    if not database.exists():
        return []
    connection = sqlite3.connect(database, timeout=30)
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def marked(run_id: str) -> list[int]:
    """Return the living processes whose environment says that they belong to a run; zombies are dead."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"AETHERFLOW_RUN_ID={run_id}\0".encode() in environment and state not in "ZX":
            found.append(int(entry.name))
    return found
