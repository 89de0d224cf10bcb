"""Real databases, other processes and other connections, for the tests of the store."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aetherflow.events import run_events as e
from aetherflow.store.database import Database
from aetherflow.store.process_identity import ProcessIdentity

ELSEWHERE = ProcessIdentity(host="another-host", pid=4711, started="1")
T0 = datetime(2026, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Database]:
    """Open a database for a block; NORMAL, because these tests cut no power."""
    database = await Database.open(path, "normal")
    try:
        yield database
    finally:
        await database.aclose()


def query(path: Path, sql: str, *values: Any) -> list[Any]:
    """Ask the file through a connection of its own."""
    raw = sqlite3.connect(path)
    try:
        return raw.execute(sql, values).fetchall()
    finally:
        raw.close()


class WriteLock:
    """Another connection's open write transaction."""

    def __init__(self, path: Path) -> None:
        self._raw = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._raw.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        """End the transaction; a second time does nothing."""
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def close(self) -> None:
        """End the connection."""
        self._raw.close()


@contextmanager
def write_locked(path: Path) -> Iterator[WriteLock]:
    """Hold the write lock of the file in the block, or until it is released."""
    lock = WriteLock(path)
    try:
        yield lock
    finally:
        lock.close()


class Child:
    """A Python process that runs a script and talks in lines."""

    def __init__(self, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        """Send a line."""
        stdin = self.process.stdin
        assert stdin is not None
        stdin.write(f"{line}\n")
        stdin.flush()

    def hear(self) -> str:
        """Wait for a line."""
        stdout = self.process.stdout
        assert stdout is not None
        return stdout.readline().rstrip("\n")


@contextmanager
def children(count: int, script: str, *arguments: str) -> Iterator[list[Child]]:
    """Run a script in several processes; each has said `ready` when the block begins."""
    family = [Child(script, *arguments) for _ in range(count)]
    try:
        for child in family:
            assert child.hear() == "ready"
        yield family
    finally:
        for child in family:
            child.process.kill()
            child.process.communicate()


def started(run_id: str, seconds: float = 0) -> e.RunStarted:
    """Return the first event of a run."""
    return e.RunStarted(
        at=T0 + timedelta(seconds=seconds), flow_id="flow", run_id=run_id, flow_file="flow.yaml", owner="me"
    )


def job_started(run_id: str, job_id: str) -> e.JobStarted:
    """Return an event that may stand in a journal many times, for different jobs."""
    return e.JobStarted(at=T0, flow_id="flow", run_id=run_id, job_id=job_id)
