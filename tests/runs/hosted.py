"""A runner on a host, for tests of many runs in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.runs.run_host import RunHost
from aetherflow.runs.run_pool import RunPool
from aetherflow.runs.run_ticket import Refusal, RunReport, RunTicket
from tests.runs.executions import Seen
from tests.runs.run_parts import Place


class Server:
    """A host and its runner, in the environment of a place."""

    def __init__(self, place: Place, host: RunHost, slots: int) -> None:
        self.place = place
        self.host = host
        self.seen = Seen()
        self.problems: list[str] = []
        self.run_pool = RunPool(
            host.execute, max_parallel_runs=slots, observer=self.seen, on_problem=self.problems.append
        )

    async def submit(self, text: str, run_id: str, **more: Any) -> None:
        """Write a flow of its own for the run, and ask for it."""
        await self.run_pool.submit(
            RunTicket(run_id=run_id, flow_file=self.place.write(text, f"{run_id}.yaml"), **more)
        )

    async def outcome(self, run_id: str) -> RunReport | Refusal:
        """Wait for the end of a run and return how it ended."""
        with anyio.fail_after(60):
            while run_id not in self.seen.reports:
                await self.seen.changed.wait()
        return self.seen.reports[run_id]

    async def status(self, run_id: str) -> str:
        """Wait for the end of a run and return its status; REFUSED and why if it was none."""
        outcome = await self.outcome(run_id)
        return outcome.status if isinstance(outcome, RunReport) else f"REFUSED: {outcome.reason}"


@asynccontextmanager
async def serving(
    place: Place, monkeypatch: pytest.MonkeyPatch, *, slots: int = 4, host: RunHost | None = None
) -> AsyncIterator[Server]:
    """Let a runner run in the block; what still runs then is ended by force."""
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)
    server = Server(place, host or RunHost(), slots)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run_pool.run)
        try:
            yield server
        finally:
            server.run_pool.force()


def lives(pid_file: Path) -> bool:
    """Whether a process has written its id there and still runs."""
    try:
        pid = int(pid_file.read_text() or 0)  # made, but not written yet
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):  # the last: it ends just now
        return False
    return state != "Z"
