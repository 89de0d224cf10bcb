"""The runs that this worker knows: the last ones, so that a package is sent once and not for each attempt."""

from __future__ import annotations

import threading
from collections import OrderedDict

from aetherflow.worker.run_on_worker import RunOnWorker

MOST_RUNS = 64
"""How many runs a worker remembers; of an older one the package is sent again."""


class RunsHere:
    """The runs by the id of their package; for all threads."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, RunOnWorker] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, package: str) -> RunOnWorker | None:
        """Return a run; None if it is not known."""
        with self._lock:
            if package in self._runs:
                self._runs.move_to_end(package)
            return self._runs.get(package)

    def add(self, package: str, run: RunOnWorker) -> None:
        """Remember a run."""
        with self._lock:
            self._runs[package] = run
            while len(self._runs) > MOST_RUNS:
                self._runs.popitem(last=False)
