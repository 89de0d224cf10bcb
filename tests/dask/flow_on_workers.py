"""A flow on the workers of a test's cluster: its steps wait for the test, and leave traces in files.

A step of a script appends `start PID` to the file of its effects, waits until the test opens its gate, and
appends `end`. So a test waits for what has happened, never for a time.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.dask.cluster import Cluster
from tests.polling import wait_until
from tests.torture.processes import marked, query, said, start
from tests.warm_start import COMMAND

SECONDS = 60.0


class FlowOnWorkers:
    """A flow in a folder of its own.

    Attributes:
        run_id: of its run, unique on the machine.
        database: its state.
    """

    def __init__(self, cluster: Cluster, name: str = "flow", address: str = "", **options: Any) -> None:
        """Take the cluster that its jobs run on, and more options of the executor.

        Args:
            cluster: the cluster.
            name: of its folder below the one of the cluster.
            address: where the engine connects to the scheduler, if not directly.
            options: of the executor.
        """
        self.folder = cluster.folder / name
        self.run_id = f"{name}-{uuid.uuid4().hex[:8]}"
        self.database = self.folder / "state.sqlite"
        self._flow = self.folder / "flow.yaml"
        self._executor = {"dask": {"address": address or cluster.address, **options}}
        for part in ("effects", "gates"):
            (self.folder / part).mkdir(parents=True)

    def write(self, jobs: Iterable[Mapping[str, Any]], **keys: Any) -> None:
        """Write the flow file, in which these jobs and keys of `flow` stand."""
        flow = {
            "id": "night",
            "executor": self._executor,
            "state": {"path": str(self.database)},
            "workspace": {"root": str(self.folder / "work"), "cleanup_policy": "never"},
            **keys,
        }
        self._flow.write_text(json.dumps({"version": 1, "flow": flow, "jobs": list(jobs)}))

    def waiting(self, name: str, *, then: str = "", **step: Any) -> dict[str, Any]:
        """Return a job of one step, a script that waits for the gate of this name."""
        script = (
            f"echo start $$ >> {self.folder}/effects/{name}; "
            f"until [ -e {self.folder}/gates/{name} ]; do sleep 0.05; done; {then} "
            f"echo end $$ >> {self.folder}/effects/{name}"
        )
        inputs = {"command": ["sh", "-c", script], "kill_grace_seconds": 0.5}
        return {"id": name, "steps": [{"id": "wait", "type": "external.process", "inputs": inputs, **step}]}

    def open(self, *names: str) -> None:
        """Let the steps of these names end."""
        for name in names:
            (self.folder / "gates" / name).touch()

    def effects(self, name: str) -> list[str]:
        """Return which lines the step of this name has written: `start` or `end`, one for each time."""
        return [line.split()[0] for line in self._lines(name)]

    def pids(self, name: str) -> list[int]:
        """Return the processes of each start of the script of this name."""
        return [int(line.split()[1]) for line in self._lines(name) if line.startswith("start")]

    def until_started(self, name: str, times: int = 1) -> None:
        """Return when the script of this name has been started so often."""
        wait_until(
            lambda: self.effects(name).count("start") >= times,
            f"{name} was not started {times} times\n{self.tail()}",
            SECONDS,
        )

    @contextmanager
    def started(self, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """Have an engine that runs the flow or resumes its run; it does not outlive the block."""
        process = start(self._flow, self.run_id, *options)
        try:
            yield process
        finally:
            process.kill()
            process.wait(SECONDS)

    def run(self, *options: str) -> int:
        """Run the flow to its end; return the exit code."""
        with self.started(*options) as engine:
            return engine.wait(SECONDS)

    def events(self, kind: str, job: str = "") -> list[dict[str, Any]]:
        """Return the stored events of a kind, of a job if one is named, in their order."""
        rows = query(
            self.database,
            "SELECT job_id, payload FROM events WHERE run_id = ? AND event = ? ORDER BY seq",
            self.run_id,
            kind,
        )
        return [{"job": one, **json.loads(str(payload))} for one, payload in rows if not job or one == job]

    def until_event(self, kind: str, job: str = "", times: int = 1) -> list[dict[str, Any]]:
        """Return the events of this kind when there are so many."""
        what = f"{kind} of {job or 'the run'} did not come {times} times"
        wait_until(lambda: len(self.events(kind, job)) >= times, what, SECONDS)
        return self.events(kind, job)

    def statuses(self) -> dict[str, str]:
        """Return how each job ended."""
        rows = query(self.database, "SELECT job_id, status FROM job_state WHERE run_id = ?", self.run_id)
        return {str(job): str(status) for job, status in rows}

    def worker_of(self, job: str, attempt: int = 1) -> str:
        """Return the worker on which an attempt of the step of a job runs."""
        return str(self.until_event("step_placed", job, attempt)[attempt - 1]["worker"])

    def programs(self) -> set[int]:
        """Return the living programs of the run."""
        return set(marked(self.run_id))

    def tail(self) -> str:
        """Return the end of what the engine said."""
        return said(self._flow, self.run_id)[-3000:]

    def command(self, *words: str) -> str:
        """Run another command of AetherFlow about this flow; return what it printed."""
        done = subprocess.run(
            [COMMAND, *words], check=False, capture_output=True, text=True, timeout=SECONDS, cwd=self.folder
        )
        return done.stdout + done.stderr

    def _lines(self, name: str) -> list[str]:
        path = self.folder / "effects" / name
        return [line for line in path.read_text().splitlines() if line] if path.exists() else []
