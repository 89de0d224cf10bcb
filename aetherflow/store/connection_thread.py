"""One SQLite connection in a thread of its own, with calls of whole functions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

from aetherflow.errors import StateMoved
from aetherflow.worker_threads import WorkerThreads

_threads = WorkerThreads("closing of state databases", 16)

T = TypeVar("T")


class ConnectionThread(aiosqlite.Connection):
    """aiosqlite's connection with one more call: a whole function in its thread, in one hop.

    Each hop between the loop and the thread costs about as much as a commit; a transaction of five
    statements would spend most of its time on them.
    """

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function in the thread of the connection and return its result."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # has no annotations
        return result

    async def end(self, check: Callable[[], None]) -> None:
        """Close as `close_after`, and wait for the thread: one that outlives its loop prints a traceback."""
        await self.close_after(check)
        await _threads.run(self._thread.join)

    async def close_after(self, check: Callable[[], None]) -> None:
        """Close; but if `check` raises StateMoved, only end the thread and leave the files open.

        Closing would copy this log into the file and delete the log at the path, which may be another's now.
        So the files stay open until the process ends, as those of a killed process do. Only a reference that
        is never dropped keeps Python from closing.
        """
        if self._connection is None:
            return
        try:
            await self.call(lambda _raw: check())
        except StateMoved:
            import ctypes  # noqa: PLC0415 - hardly any process needs it

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            self._connection = None
            ended = self.stop()
            if ended is not None:
                await ended
        else:
            await self.close()
