"""What is sent to workers: one that is lost keeps nobody waiting."""

from __future__ import annotations

import anyio
import pytest
from aetherflow_dask.outbox import Outbox
from aetherflow_dask.wire import Acknowledge

pytestmark = pytest.mark.anyio


async def test_draining_ends_when_the_worker_that_takes_nothing_is_dropped() -> None:
    async with anyio.create_task_group() as tasks:
        outbox = Outbox(tasks, lambda _: None)  # without a client nothing is taken
        outbox.put("tcp://gone", Acknowledge("start", 1))
        await anyio.wait_all_tasks_blocked()
        outbox.put("tcp://gone", Acknowledge("start", 2))
        drained = anyio.Event()

        async def drain() -> None:
            await outbox.drain()
            drained.set()

        tasks.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        assert not drained.is_set()
        outbox.drop("tcp://gone")
        with anyio.fail_after(60):
            await drained.wait()
