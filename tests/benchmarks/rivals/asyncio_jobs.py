"""The floor by hand: a task for each job, and one thread that writes to SQLite.

    python asyncio_jobs.py JOBS

Two commits a job, as AetherFlow has them: before its step begins, and before anything may follow. What waits
for the disk shares a commit (FULL). The rows are those of a job of one step: four events and two of state.
There is no YAML, no check, no log, no time limit, no retry, no resume: what is above this is what those cost.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
import time
from pathlib import Path

JOBS = int(sys.argv[1])
Row = tuple[str, tuple[object, ...]]
Batch = list[tuple[list[Row], asyncio.Future[None]]]

TABLES = """
CREATE TABLE events (seq INTEGER PRIMARY KEY, job TEXT, type TEXT, at REAL, payload TEXT);
CREATE TABLE job_state (job TEXT PRIMARY KEY, status TEXT, started REAL, ended REAL, outputs TEXT);
CREATE TABLE step_state (job TEXT PRIMARY KEY, status TEXT, started REAL, ended REAL, outputs TEXT);
"""
EVENT = "INSERT INTO events (job, type, at, payload) VALUES (?, ?, ?, ?)"
PAYLOAD = '{"x": "' + 100 * "x" + '"}'


class Store:
    """Rows that wait for the disk, and the thread that writes them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: queue.SimpleQueue[tuple[list[Row], asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def commit(self, rows: list[Row]) -> asyncio.Future[None]:
        """Return what is done as soon as the rows are durable."""
        done = self._loop.create_future()
        self._waiting.put((rows, done))
        return done

    def close(self) -> None:
        """Wait for the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        database = sqlite3.connect(Path("floor.sqlite"), isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(TABLES)
        while (first := self._waiting.get()) is not None:
            batch = [first]
            for _ in range(self._waiting.qsize()):
                if (more := self._waiting.get()) is None:
                    self._waiting.put(None)
                    break
                batch.append(more)
            database.execute("BEGIN IMMEDIATE")
            for rows, _ in batch:
                for statement, values in rows:
                    database.execute(statement, values)
            database.execute("COMMIT")
            self._loop.call_soon_threadsafe(_finish, batch)
        database.close()


def _finish(batch: Batch) -> None:
    for _, done in batch:
        done.set_result(None)


async def run(number: int, store: Store) -> None:
    """Run a job of one step."""
    name, now = f"j{number}", time.time()
    started: list[Row] = [(EVENT, (name, kind, now, PAYLOAD)) for kind in ("job_started", "step_started")]
    started += [
        (f"INSERT INTO {table} VALUES (?, 'RUNNING', ?, NULL, NULL)", (name, now))
        for table in ("job_state", "step_state")
    ]
    await store.commit(started)
    outputs, now = str(number + 1), time.time()
    ended: list[Row] = [(EVENT, (name, kind, now, PAYLOAD)) for kind in ("step_finished", "job_finished")]
    ended += [
        (f"UPDATE {table} SET status = 'SUCCESS', ended = ?, outputs = ? WHERE job = ?", (now, outputs, name))
        for table in ("step_state", "job_state")
    ]
    await store.commit(ended)


async def main() -> None:
    """Run all jobs at the same time."""
    store = Store(asyncio.get_running_loop())
    async with asyncio.TaskGroup() as tasks:
        for number in range(JOBS):
            tasks.create_task(run(number, store))
    store.close()


if __name__ == "__main__":
    asyncio.run(main())
