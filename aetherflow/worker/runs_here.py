"""The runs that this worker knows: the last ones, so that a package is sent once and not for each attempt."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from aetherflow.worker.run_on_worker import RunOnWorker

MOST_RUNS = 64
"""How many runs a worker remembers; of an older one the package is sent again."""


class RunsHere:
    """The runs by the id of their package; for all threads."""

    def __init__(self) -> None:
        self._runs: OrderedDict[str, RunOnWorker] = OrderedDict()
        self._opening: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, package: str) -> RunOnWorker | None:
        """Return a run; None if it is not known."""
        with self._lock:
            if package in self._runs:
                self._runs.move_to_end(package)
            return self._runs.get(package)

    def opened(self, package: str, open_it: Callable[[], RunOnWorker]) -> RunOnWorker:
        """Return a run, and open it if it is not known; blocking, also while another thread opens it."""
        with self._lock:
            opening = self._opening.setdefault(package, threading.Lock())
        try:
            with opening:
                run = self.get(package) or open_it()
                self._add(package, run)
                return run
        finally:
            with self._lock:
                self._opening.pop(package, None)

    def _add(self, package: str, run: RunOnWorker) -> None:
        with self._lock:
            self._runs[package] = run
            while len(self._runs) > MOST_RUNS:
                self._runs.popitem(last=False)
