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
        names: the names of the workers by their addresses; those that are gone for good are forgotten.
        has_workers: set when there was a worker.
    """

    def __init__(self, lost_after: float, on_silence: Callable[[str, float], None]) -> None:
        """Take what is called with the address of a worker that is silent, and for how many seconds."""
        self.limit = lost_after + PROGRAMS_END_SECONDS
        self.threads = 0
        self.names: dict[str, str] = {}
        self.has_workers = anyio.Event()
        self._on_silence = on_silence
        self._silence: dict[str, float] = {}
        self._gone: list[tuple[float, Callable[[], None]]] = []
        self._now = 0.0

    def name_of(self, worker: str) -> str:
        """Return the name of a worker, or its address."""
        return self.names.get(worker, worker)

    def hears(self, worker: str) -> None:
        """Note that a worker has said something."""
        self._silence[worker] = 0.0

    def has_gone(self, on_lost: Callable[[], None]) -> None:
        """Call this when the programs of a worker that is gone have had the time to end."""
        self._gone.append((self._now + PROGRAMS_END_SECONDS, on_lost))

    def see(self, identity: Mapping[str, Any], busy: Collection[str] = ()) -> None:
        """Take what the scheduler says about its workers; forget the others, but those that have attempts."""
        self.threads = int(identity["total_threads"])
        known = {address: str(one["name"]) for address, one in identity["workers"].items()}
        kept = {worker: self.names[worker] for worker in busy if worker in self.names}
        self.names = {**kept, **known}
        self._silence = {
            worker: silence for worker, silence in self._silence.items() if worker in known or worker in busy
        }
        if self.threads:
            self.has_workers.set()

    def tick(self, seconds: float, busy: Collection[str]) -> None:
        """Note that so many seconds have passed, report who is lost; `busy` are those that have attempts."""
        self._now += seconds
        for worker in list(busy):
            silence = self._silence[worker] = self._silence.get(worker, 0.0) + seconds
            if silence > self.limit:
                del self._silence[worker]
                self._on_silence(worker, silence)
        lost = [on_lost for moment, on_lost in self._gone if moment <= self._now]
        self._gone = [(moment, on_lost) for moment, on_lost in self._gone if moment > self._now]
        for on_lost in lost:
            on_lost()
