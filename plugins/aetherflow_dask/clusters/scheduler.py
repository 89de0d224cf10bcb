"""Start the scheduler of a cluster that is ours."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec

from aetherflow import ExecutorError
from aetherflow_dask.child import SchedulerRole
from aetherflow_dask.clusters.held_process import held_process

START_SECONDS = 60.0
"""How long the scheduler may take to start; it takes about two seconds."""


@asynccontextmanager
async def own_scheduler(role: SchedulerRole) -> AsyncIterator[str]:
    """Run a scheduler for the length of a block; yield its address.

    Raises:
        ExecutorError: it does not start.
    """
    command = [sys.executable, "-m", "aetherflow_dask.child"]
    async with held_process(command, msgspec.json.encode(role).decode()) as process:
        address = ""
        with anyio.move_on_after(START_SECONDS):
            address = (await process.line()).strip()
        if address:
            yield address
            return
        raise ExecutorError(
            "the scheduler of the cluster did not start",
            hint="what it said is above; is its port taken, and has the machine memory left?",
            code="AF833",
        )
