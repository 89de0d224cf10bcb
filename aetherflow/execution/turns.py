"""Let the jobs that have started take turns: only so many of them work at the same time.

A job has its turn from its first attempt until it ends; what it waits for in between is part of it. The first
in the flow that waits comes next, so jobs work in the order in which they would start if none started ahead.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from aetherflow.clock import Clock
from aetherflow.engine.ready_queue import JobInstance

PATIENCE_SECONDS = 1.0
"""How long jobs wait for their turn before it is said: most only wait until the disk has stored something."""


class Turns:
    """The turns of the jobs of one run, as many at the same time as `size`."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._working: set[str] = set()
        self._waiting: dict[str, Callable[[], None]] = {}
        self._order: list[tuple[int, int, str]] = []

    @property
    def has_waiting(self) -> bool:
        """Whether a job waits for its turn."""
        return bool(self._waiting)

    def begin(self, instance: JobInstance, work: Callable[[], None]) -> None:
        """Call `work` when the job has its turn, which may be at once."""
        if instance.id in self._working or len(self._working) < self._size:
            self._working.add(instance.id)
            work()
        else:
            self._waiting[instance.id] = work
            heapq.heappush(self._order, (instance.job.index, instance.item, instance.id))

    def take(self, job_id: str) -> None:
        """Give a job its turn, also if too many have one."""
        self._working.add(job_id)

    def begin_at_once(self, job_id: str) -> None:
        """Let a job work that waits for its turn: it is cancelled, and reports that."""
        if (work := self._waiting.pop(job_id, None)) is not None:
            self._working.add(job_id)
            work()

    def end(self, job_id: str) -> None:
        """Give the turn of a job, if it has one, to the next that waits."""
        self._working.discard(job_id)
        while self._waiting and len(self._working) < self._size:
            _, _, following = heapq.heappop(self._order)
            self.begin_at_once(following)

    def close(self) -> None:
        """Let none of those work that wait: the run is left."""
        self._waiting.clear()

    async def report_waits(self, clock: Clock, report: Callable[[int], None]) -> None:
        """Report, once, how many jobs wait, if one of them waits for long; return when none waits."""
        is_reported = False
        while waiting := set(self._waiting):
            await clock.sleep(PATIENCE_SECONDS)
            if not is_reported and not waiting.isdisjoint(self._waiting):
                is_reported = True
                report(len(self._waiting))
