"""The tasks of a run in which attempts of steps run: each runs many, one after the other.

A task per attempt would cost as much as the attempt of a small step.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.abc

Report = Callable[[], None]
"""Reports how some work ended; what follows from it may begin at once."""

Work = Callable[[], Awaitable[Report]]


class _Worker:
    """A task that is free, and the work that it is given."""

    def __init__(self) -> None:
        self.work: Work | None = None
        self.wake: anyio.Event | None = None


class Workers:
    """Runs work in the tasks of a group, which end with it."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks
        self._free: list[_Worker] = []

    def start(self, work: Work) -> None:
        """Run some work in a task that is free, else in a new one."""
        if not self._free:
            self._tasks.start_soon(self._serve, work)
            return
        worker = self._free.pop()
        worker.work = work
        if worker.wake is not None:
            worker.wake.set()

    async def _serve(self, work: Work) -> None:
        worker = _Worker()
        while True:
            report = await work()
            self._free.append(worker)  # before the report: what it starts may be this task's next work
            report()
            del work, report  # they hold what the attempt returned
            while (given := worker.work) is None:
                worker.wake = anyio.Event()
                await worker.wake.wait()
            work, worker.work, worker.wake = given, None, None
