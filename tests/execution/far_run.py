"""A run whose steps are given to workers that the test plays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aetherflow.clock import Clock
from aetherflow.sdk.context import StepContext
from aetherflow.task_errors import one_error
from tests.execution.live_run import LiveRun, live
from tests.execution.worker_double import WorkerDouble


def nothing(_context: StepContext, _inputs: dict[str, Any]) -> None:
    """Stand for a step that another process runs."""
    raise AssertionError


@asynccontextmanager
async def executing(
    text: str, folder: Path, workers: WorkerDouble, clock: Clock | None = None, **more: Any
) -> AsyncIterator[LiveRun]:
    """Execute a run on the workers beside a block, and to its end after it."""
    async with (
        live(text, folder, {"t": nothing}, placement=workers, clock=clock, **more) as run,
        one_error() as tasks,
    ):
        tasks.start_soon(run.run)
        yield run
