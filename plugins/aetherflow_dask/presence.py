"""Which workers a cluster has, and which of those that have attempts are gone, or silent for too long."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import anyio

PROGRAMS_END_SECONDS = 3.0
"""How long the guardian of a worker that has died may take to end its programs."""

DIED = "has died or was cut off"
LEFT = "has left the cluster"


class Presence:
    """What is known of the workers.

    Silence is counted in pauses of the task that calls `tick`, not by the clock: if the engine itself stood
    still, the messages of that time are read before a worker is lost.

    Attributes:
        limit: how many seconds a worker with attempts may be silent.
        threads: how many attempts all workers run at once.
        names: the names of the workers, also of those that are gone, by their addresses.
        has_workers: set when there was a worker.
    """

    def __init__(self, lost_after: float, on_lost: Callable[[str, str], None]) -> None:
        """Take what is called with the address of a worker that is lost, and why it is."""
        self.limit = lost_after + PROGRAMS_END_SECONDS
        self.threads = 0
        self.names: dict[str, str] = {}
        self.has_workers = anyio.Event()
        self._on_lost = on_lost
        self._silence: dict[str, float] = {}
        self._gone: dict[str, tuple[float, str]] = {}

    def name_of(self, worker: str) -> str:
        """Return the name of a worker, or its address."""
        return self.names.get(worker, worker)

    def hears(self, worker: str) -> None:
        """Note that a worker has said something."""
        self._silence[worker] = 0.0

    def has_gone(self, worker: str, why: str) -> None:
        """Note that the scheduler has a worker no more; it is lost when its programs have ended too."""
        self._gone.setdefault(worker, (PROGRAMS_END_SECONDS, why))

    def has_come(self, worker: str) -> None:
        """Note that the scheduler has a worker."""
        self._gone.pop(worker, None)

    def see(self, identity: Mapping[str, Any], busy: Collection[str]) -> None:
        """Take what the scheduler says about its workers; `busy` are those that have attempts."""
        self.threads = int(identity["total_threads"])
        self.names |= {address: str(one["name"]) for address, one in identity["workers"].items()}
        if self.threads:
            self.has_workers.set()
        for worker in busy:
            if worker not in identity["workers"]:
                self.has_gone(worker, DIED)

    def tick(self, seconds: float, busy: Collection[str]) -> None:
        """Note that so many seconds have passed; report who is lost."""
        for worker in busy:
            silence = self._silence[worker] = self._silence.get(worker, 0.0) + seconds
            if silence > self.limit:
                self._lose(worker, f"has been silent for {silence:.0f} s")
        for worker, (left, why) in list(self._gone.items()):
            if left > seconds:
                self._gone[worker] = left - seconds, why
            else:
                self._lose(worker, why)

    def _lose(self, worker: str, why: str) -> None:
        self._silence.pop(worker, None)
        self._gone.pop(worker, None)
        self._on_lost(worker, why)
